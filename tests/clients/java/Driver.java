import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * The Java side of the client matrix: one job per line, see ../driver.rs. Besides "produce" and "consume"
 * it runs Kafka's own command-line tools, many in one virtual machine: "tool", a file for standard input
 * or "-", files for standard output and standard error, the main class, its arguments.
 */
public final class Driver {
    private static final Duration DEADLINE = Duration.ofSeconds(100);

    /** What a tool throws instead of ending the virtual machine. */
    private static final class Exited extends Error {
        final int code;

        Exited(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    private static volatile Integer exitCode;

    public static void main(String[] arguments) throws IOException {
        PrintStream answers = System.out;
        Exit.Procedure exit = (code, message) -> {
            if (exitCode == null) {
                exitCode = code;
            }
            throw new Exited(code);
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = "ok\t" + run(line.split("\t", -1));
            } catch (Exception | Error problem) {
                answer = "fail\t" + problem.toString().replaceAll("\\s+", " ");
            }
            answers.println(answer);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static int run(String[] words) throws Exception {
        return switch (words[0]) {
            case "produce" -> produce(words);
            case "consume" -> consume(words);
            case "tool" -> tool(words);
            default -> throw new IllegalArgumentException("unknown job " + words[0]);
        };
    }

    private static int produce(String[] words) throws Exception {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", words[1],
            "compression.type", words[4],
            "enable.idempotence", words[5].equals("idempotent"),
            "acks", "all",
            "linger.ms", "20");
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
             var input = new DataInputStream(new BufferedInputStream(new FileInputStream(words[6])))) {
            while (true) {
                try {
                    input.readInt();
                } catch (EOFException end) {
                    break;
                }
                input.readLong();
                long timestamp = input.readLong();
                byte[] key = readBytes(input);
                byte[] value = readBytes(input);
                List<Header> headers = new ArrayList<>();
                for (int count = input.readInt(); count > 0; count--) {
                    String name = new String(readBytes(input), StandardCharsets.UTF_8);
                    headers.add(new RecordHeader(name, readBytes(input)));
                }
                futures.add(producer.send(
                    new ProducerRecord<>(words[2], Integer.parseInt(words[3]), timestamp, key, value, headers)));
            }
            producer.flush();
            for (Future<RecordMetadata> future : futures) {
                future.get();
            }
        } catch (ExecutionException failed) {
            throw (Exception) failed.getCause();
        }
        return futures.size();
    }

    private static int consume(String[] words) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", words[1], "check.crcs", true);
        int count = Integer.parseInt(words[4]);
        int seen = 0;
        long deadline = System.nanoTime() + DEADLINE.toNanos();
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
             var out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(words[5]), 1 << 16))) {
            TopicPartition partition = new TopicPartition(words[2], Integer.parseInt(words[3]));
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            while (seen < count) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException(seen + " of " + count + " records after " + DEADLINE);
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    writeRecord(out, record);
                    seen++;
                }
            }
        }
        return seen;
    }

    private static void writeRecord(DataOutputStream out, ConsumerRecord<byte[], byte[]> record) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream frame = new DataOutputStream(bytes);
        frame.writeLong(record.offset());
        frame.writeLong(record.timestamp());
        writeBytes(frame, record.key());
        writeBytes(frame, record.value());
        Header[] headers = record.headers().toArray();
        frame.writeInt(headers.length);
        for (Header header : headers) {
            writeBytes(frame, header.key().getBytes(StandardCharsets.UTF_8));
            writeBytes(frame, header.value());
        }
        out.writeInt(bytes.size());
        bytes.writeTo(out);
    }

    private static byte[] readBytes(DataInputStream input) throws IOException {
        int length = input.readInt();
        return length < 0 ? null : input.readNBytes(length);
    }

    private static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null) {
            out.write(bytes);
        }
    }

    /** Runs one tool and answers its exit code. */
    private static int tool(String[] words) throws Exception {
        PrintStream out = System.out;
        PrintStream err = System.err;
        InputStream in = System.in;
        exitCode = null;
        try (var toolOut = new PrintStream(new FileOutputStream(words[2]), true);
             var toolErr = new PrintStream(new FileOutputStream(words[3]), true)) {
            System.setOut(toolOut);
            System.setErr(toolErr);
            System.setIn(new ByteArrayInputStream(words[1].equals("-") ? new byte[0] : Files.readAllBytes(Path.of(words[1]))));
            try {
                // Scala's Console remembers the streams of the first tool; this makes it follow System.out.
                scala.Console$.MODULE$.setOutDirect(toolOut);
                scala.Console$.MODULE$.setErrDirect(toolErr);
                Class.forName(words[4]).getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(words, 5, words.length));
            } catch (InvocationTargetException ended) {
                if (!(ended.getCause() instanceof Exited)) {
                    ended.getCause().printStackTrace(toolErr);
                    return 1;
                }
            }
        } finally {
            System.setOut(out);
            System.setErr(err);
            System.setIn(in);
        }
        return exitCode == null ? 0 : exitCode;
    }
}
