import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's producer under even arrivals: record number n is sent at n / rate, however long the ones before took.
 *
 * Arguments: bootstrap, topic, rate, seconds, lines (a file), keys (0: none), settings (key=value ...).
 */
public class Steady {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        for (int i = 6; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        double rate = Double.parseDouble(args[2]);
        long count = (long) (rate * Double.parseDouble(args[3]));
        List<byte[]> lines = Files.readAllLines(Path.of(args[4])).stream().map(String::getBytes).toList();
        int keys = Integer.parseInt(args[5]);
        Random random = new Random(1);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            producer.partitionsFor(args[1]);
            long start = System.nanoTime();
            for (long n = 0; n < count; n++) {
                long due = start + (long) (n * 1e9 / rate);
                for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
                    LockSupport.parkNanos(left);
                }
                byte[] key = keys == 0 ? null : String.format("%08d", random.nextInt(keys)).getBytes();
                producer.send(new ProducerRecord<>(args[1], key, lines.get((int) (n % lines.size()))));
            }
        }
    }
}
