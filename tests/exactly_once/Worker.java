import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** A worker with the Java client: Worker NAME BOOTSTRAP static|dynamic classic|consumer. The topics and times are those of main.rs. */
public class Worker {
    static final String INPUT = "exactly-once-in", OUTPUT = "exactly-once-out", GROUP = "exactly-once";
    static final int ABORTS_ONE_IN = 10;

    public static void main(String[] arguments) {
        String name = arguments[0], bootstrap = arguments[1];
        Map<String, Object> consuming = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap, "group.id", GROUP, "group.protocol", arguments[3],
            "isolation.level", "read_committed", "enable.auto.commit", false, "auto.offset.reset", "none",
            "max.poll.records", 100, "fetch.max.wait.ms", 50));
        // With the other protocol all of this is the broker's.
        if (arguments[3].equals("classic")) consuming.putAll(Map.of("session.timeout.ms", 1500, "heartbeat.interval.ms", 200,
            "partition.assignment.strategy", RangeAssignor.class.getName()));
        if (arguments[2].equals("static")) consuming.put("group.instance.id", name);
        Map<String, Object> producing = Map.of(
            "bootstrap.servers", bootstrap, "transactional.id", name, "transaction.timeout.ms", 4000, "linger.ms", 1,
            "reconnect.backoff.max.ms", 200);
        try (var consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer());
             var producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer())) {
            producer.initTransactions();
            consumer.subscribe(List.of(INPUT));
            for (long transaction = 1; ; transaction++) {
                var records = consumer.poll(Duration.ofMillis(100));
                if (records.isEmpty()) continue;
                try {
                    carryOver(records, consumer, producer, transaction % ABORTS_ONE_IN == 0);
                } catch (ProducerFencedException | OutOfOrderSequenceException | InvalidProducerEpochException
                        | UnsupportedVersionException | AuthorizationException error) {
                    throw error;
                } catch (KafkaException error) {
                    System.err.println(name + ": " + error + ", the transaction is aborted");
                    abort(consumer, producer);
                }
            }
        } catch (KafkaException error) {
            System.err.println(name + ": " + error);
            // A close would wait for what can't end any more.
            Runtime.getRuntime().halt(1);
        }
    }

    static void carryOver(ConsumerRecords<String, String> records, KafkaConsumer<String, String> consumer,
            KafkaProducer<String, String> producer, boolean aborts) {
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
        for (var record : records) {
            producer.send(new ProducerRecord<>(OUTPUT, record.partition(), null, record.value() + "!"));
            ends.put(new TopicPartition(INPUT, record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        if (aborts) {
            abort(consumer, producer);
            return;
        }
        producer.sendOffsetsToTransaction(ends, consumer.groupMetadata());
        producer.commitTransaction();
    }

    /** Ends the transaction and goes back to what the group has committed. */
    static void abort(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer) {
        producer.abortTransaction();
        var committed = consumer.committed(consumer.assignment(), Duration.ofSeconds(30));
        for (TopicPartition partition : consumer.assignment()) {
            consumer.seek(partition, committed.get(partition).offset());
        }
    }
}
