import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.zip.CRC32C;
import org.HdrHistogram.Histogram;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * kafka-clients as a driver of `millrace bench`: told what to do by lines on standard input, fed with records over sockets, telling
 * what happened by lines on standard output. See the module beside this file for the protocol.
 */
public final class Load {
    private static final long HOUR_NS = 3_600_000_000_000L;
    private static final byte[] MAGIC = "mRst".getBytes(StandardCharsets.US_ASCII);
    private static final int STAMP_BYTES = 32;

    private static final Map<Integer, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
    private static final Map<Integer, Transactions> transactions = new HashMap<>();
    private static final List<Reader> readers = new ArrayList<>();
    private static final Map<String, Integer> firsts = new HashMap<>();
    private static final Map<Integer, Map<Integer, Long>> positions = new ConcurrentHashMap<>();
    private static final AtomicLong taken = new AtomicLong();
    private static final AtomicLong done = new AtomicLong();
    private static volatile long stopAt = Long.MAX_VALUE;
    private static volatile boolean isOver;
    private static boolean verify;
    private static long mono0;
    private static long wall0;
    private static DataOutputStream events;
    private static Tally tally = new Tally();
    /** Times that producers tell, in the order in which they are told on. */
    private static final String[] TIMES = {"request-latency", "record-queue-time", "produce-throttle-time"};
    private static final Map<String, Double> lastMetrics = new HashMap<>();

    /** What happened since somebody asked. Guarded by the class. */
    private static final class Tally {
        long taken;
        long acked;
        long ackedBytes;
        long failed;
        long consumed;
        long consumedBytes;
        final TreeMap<String, Long> errors = new TreeMap<>();
        final Histogram latency = new Histogram(HOUR_NS, 3);
        final Histogram clockError = new Histogram(HOUR_NS, 3);
        final Histogram endToEnd = new Histogram(HOUR_NS, 3);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t", -1);
            String answer = null;
            try {
                answer = obey(words);
            } catch (Exception error) {
                Throwable cause = error.getCause() == null ? error : error.getCause();
                answer = "error\t" + cause.getMessage().replaceAll("\\s+", " ");
            }
            if (answer != null) {
                out.println(answer);
                out.flush();
            }
            if (words[0].equals("finish")) {
                // Clients may still wait for a broker that is gone.
                Runtime.getRuntime().halt(0);
            }
        }
    }

    private static String obey(String[] words) throws Exception {
        switch (words[0]) {
            case "topic":
                firsts.put(words[1], Integer.parseInt(words[2]));
                return null;
            case "producer":
                KafkaProducer<byte[], byte[]> producer =
                    new KafkaProducer<>(settings(words[2]), new ByteArraySerializer(), new ByteArraySerializer());
                producers.put(Integer.parseInt(words[1]), producer);
                if (!words[3].equals("0")) {
                    producer.initTransactions();
                    transactions.put(Integer.parseInt(words[1]), new Transactions(producer, Long.parseLong(words[3])));
                }
                return "made";
            case "consumer":
                readers.add(new Reader(words));
                return "made";
            case "begin":
                begin(Integer.parseInt(words[1]), Integer.parseInt(words[2]), words);
                return "begun";
            case "take":
                return take();
            case "state":
                return "state\t" + taken.get() + "\t" + done.get() + "\t" + positions();
            case "stop":
                stopAt = now();
                return "stopped\t" + stopAt;
            case "finish":
                isOver = true;
                for (Reader reader : readers) {
                    reader.end();
                }
                if (events != null) {
                    synchronized (events) {
                        events.close();
                    }
                }
                return "finished";
            default:
                throw new IllegalArgumentException("unknown command " + words[0]);
        }
    }

    private static Map<String, Object> settings(String text) {
        Map<String, Object> settings = new HashMap<>();
        for (String pair : text.split("\u0001")) {
            int at = pair.indexOf('=');
            settings.put(pair.substring(0, at), pair.substring(at + 1));
        }
        return settings;
    }

    private static void begin(int port, int lanes, String[] words) throws IOException {
        verify = words[3].equals("1");
        mono0 = Long.parseLong(words[4]);
        wall0 = Long.parseLong(words[5]);
        Socket back = new Socket("127.0.0.1", port);
        events = new DataOutputStream(new BufferedOutputStream(back.getOutputStream(), 1 << 16));
        events.writeInt(-1);
        events.flush();
        for (int lane = 0; lane < lanes; lane++) {
            Socket feed = new Socket("127.0.0.1", port);
            DataOutputStream hello = new DataOutputStream(feed.getOutputStream());
            hello.writeInt(lane);
            hello.flush();
            DataInputStream records = new DataInputStream(new BufferedInputStream(feed.getInputStream(), 1 << 18));
            Thread thread = new Thread(() -> send(records), "feed-" + lane);
            thread.setDaemon(true);
            thread.start();
        }
        transactions.values().forEach(Transactions::start);
        readers.forEach(Reader::start);
    }

    private static long now() {
        return System.nanoTime() - mono0;
    }

    /**
     * The transactions of a producer: opened by the first record, committed when their time is over, aborted if a record of theirs failed.
     * Who sends waits while one ends, as a program does that calls commitTransaction().
     */
    private static final class Transactions {
        private final KafkaProducer<byte[], byte[]> producer;
        private final long durationNs;
        private long begun = -1;
        /** Records due before then were late because a transaction ended. */
        private volatile long excusedUntil;
        /** What was delivered and is not committed: place and number. Guarded by the outer class. */
        private List<long[]> uncommitted = new ArrayList<>();
        /** Records that were delivered or failed in it. Guarded by the outer class. */
        private long ended;

        Transactions(KafkaProducer<byte[], byte[]> producer, long durationNs) {
            this.producer = producer;
            this.durationNs = durationNs;
        }

        void start() {
            Thread thread = new Thread(() -> {
                while (!isOver) {
                    LockSupport.parkNanos(1_000_000);
                    synchronized (this) {
                        if (begun >= 0 && now() - begun >= durationNs) {
                            end();
                        }
                    }
                }
            }, "transactions");
            thread.setDaemon(true);
            thread.start();
        }

        /** Sends a record in the open transaction, or in a new one. */
        synchronized void send(ProducerRecord<byte[], byte[]> record, Callback callback) {
            if (begun >= 0 && now() - begun >= durationNs) {
                end();
            }
            if (begun < 0) {
                producer.beginTransaction();
                begun = now();
            }
            producer.send(record, callback);
        }

        synchronized void end() {
            boolean committed = false;
            if (begun >= 0) {
                begun = -1;
                committed = insist(producer::commitTransaction);
                if (!committed) {
                    insist(producer::abortTransaction);
                }
                excusedUntil = now();
            }
            List<long[]> places;
            long count;
            synchronized (Load.class) {
                places = uncommitted;
                count = ended;
                uncommitted = new ArrayList<>();
                ended = 0;
            }
            for (long[] at : committed ? places : List.<long[]>of()) {
                event('A', (int) at[0], (int) at[1], at[2], 0);
            }
            done.addAndGet(count);
        }

        /** Ends it; who does not hear in time asks again. False: it can't be. */
        private static boolean insist(Runnable how) {
            while (!isOver) {
                try {
                    how.run();
                    return true;
                } catch (TimeoutException | InterruptException error) {
                    // Again.
                } catch (RuntimeException error) {
                    count(error);
                    return false;
                }
            }
            return false;
        }

        private static void count(RuntimeException error) {
            synchronized (Load.class) {
                tally.errors.merge(name(error), 1L, Long::sum);
            }
        }
    }

    /** Sends the records of a feed at their times, and ends what is open when there are no more. */
    private static void send(DataInputStream feed) {
        Set<Integer> transactional = new HashSet<>();
        try {
            sendAll(feed, transactional);
        } finally {
            transactional.forEach(producer -> transactions.get(producer).end());
        }
    }

    private static void sendAll(DataInputStream feed, Set<Integer> transactional) {
        try (feed) {
            while (!isOver) {
                int producer = feed.readInt();
                long due = feed.readLong();
                long number = feed.readLong();
                byte[] topic = bytes(feed);
                int partition = feed.readInt();
                byte[] key = bytes(feed);
                byte[] value = bytes(feed);
                // A closed loop has no times.
                boolean isOpen = due >= 0;
                long wait = isOpen ? due - now() : 0;
                while (wait > 0 && due < stopAt && !isOver) {
                    LockSupport.parkNanos(Math.min(wait, 1_000_000));
                    wait = due - now();
                }
                long intended = isOpen ? due : now();
                if (intended >= stopAt || isOver) {
                    return;
                }
                long bytes = (key == null ? 0 : key.length) + (value == null ? 0 : value.length);
                Transactions his = transactions.get(producer);
                if (his != null) {
                    transactional.add(producer);
                }
                long late = now() - due;
                synchronized (Load.class) {
                    tally.taken++;
                    if (isOpen && (his == null || due >= his.excusedUntil)) {
                        tally.clockError.recordValue(clamp(late));
                    }
                }
                taken.incrementAndGet();
                String name = new String(topic, StandardCharsets.UTF_8);
                ProducerRecord<byte[], byte[]> record =
                    new ProducerRecord<>(name, partition < 0 ? null : partition, key, value);
                Callback callback =
                    (metadata, error) -> delivered(producer, number, intended, bytes, metadata, error);
                try {
                    if (his != null) {
                        his.send(record, callback);
                    } else {
                        producers.get(producer).send(record, callback);
                    }
                } catch (RuntimeException error) {
                    delivered(producer, number, intended, bytes, null, error);
                }
            }
        } catch (EOFException end) {
            // Nothing more is due.
        } catch (IOException error) {
            System.err.println(error);
        }
    }

    private static byte[] bytes(DataInputStream in) throws IOException {
        int length = in.readInt();
        if (length < 0) {
            return null;
        }
        byte[] bytes = new byte[length];
        in.readFully(bytes);
        return bytes;
    }

    private static long clamp(long ns) {
        return Math.max(0, Math.min(ns, HOUR_NS));
    }

    private static void delivered(int producer, long number, long intended, long bytes, RecordMetadata at, Exception error) {
        Transactions his = transactions.get(producer);
        synchronized (Load.class) {
            if (error == null) {
                tally.acked++;
                tally.ackedBytes += bytes;
                tally.latency.recordValue(clamp(now() - intended));
            } else {
                tally.failed++;
                tally.errors.merge(name(error), 1L, Long::sum);
            }
            if (his != null) {
                if (error == null && verify) {
                    his.uncommitted.add(new long[] {producer, firsts.get(at.topic()) + at.partition(), number});
                }
                his.ended++;
                return;
            }
        }
        if (error == null && verify) {
            event('A', producer, firsts.get(at.topic()) + at.partition(), number, 0);
        }
        done.incrementAndGet();
    }

    private static String name(Exception error) {
        if (error instanceof ApiException) {
            Errors code = Errors.forException(error);
            if (code != Errors.UNKNOWN_SERVER_ERROR) {
                return code.name();
            }
        }
        return error.getClass().getSimpleName();
    }

    /** What happened to a record: kind, group, producer, place, number. */
    private static void event(char kind, int producer, int place, long number, int group) {
        synchronized (events) {
            try {
                events.writeByte(kind);
                events.writeInt(group);
                events.writeInt(producer);
                events.writeInt(place);
                events.writeLong(number);
            } catch (IOException error) {
                isOver = true;
            }
        }
    }

    private static synchronized String take() throws IOException {
        Tally was = tally;
        tally = new Tally();
        StringBuilder text = new StringBuilder("took\t{");
        field(text, "taken", was.taken);
        field(text, "acked", was.acked);
        field(text, "acked_bytes", was.ackedBytes);
        field(text, "failed", was.failed);
        field(text, "consumed", was.consumed);
        field(text, "consumed_bytes", was.consumedBytes);
        double requests = 0;
        double bytes = 0;
        double batches = 0;
        double[][] times = new double[TIMES.length][3];
        for (Map.Entry<Integer, KafkaProducer<byte[], byte[]>> one : producers.entrySet()) {
            Map<MetricName, ? extends Metric> metrics = one.getValue().metrics();
            double sent = grown("p" + one.getKey() + "r", total(metrics, "producer-metrics", "request-total"));
            double out = grown("p" + one.getKey() + "b", total(metrics, "producer-metrics", "outgoing-byte-total"));
            double average = total(metrics, "producer-metrics", "batch-size-avg");
            requests += sent;
            bytes += out;
            batches += average > 0 ? out / average : 0;
            for (int nth = 0; nth < TIMES.length; nth++) {
                times[nth][0] += sent;
                times[nth][1] += sent * total(metrics, "producer-metrics", TIMES[nth] + "-avg");
                double longest = sent > 0 ? total(metrics, "producer-metrics", TIMES[nth] + "-max") : 0;
                times[nth][2] = Math.max(times[nth][2], longest);
            }
        }
        double fetches = 0;
        for (int nth = 0; nth < readers.size(); nth++) {
            double sum = total(readers.get(nth).consumer.metrics(), "consumer-fetch-manager-metrics", "fetch-total");
            fetches += grown("c" + nth, sum);
        }
        field(text, "produce_requests", Math.round(requests));
        field(text, "batch_bytes", Math.round(bytes));
        field(text, "batches", Math.round(batches));
        field(text, "fetch_requests", Math.round(fetches));
        text.append("\"times\":").append(Arrays.deepToString(times)).append(',');
        text.append("\"errors\":{");
        String comma = "";
        for (Map.Entry<String, Long> error : was.errors.entrySet()) {
            text.append(comma).append('"').append(error.getKey()).append("\":").append(error.getValue());
            comma = ",";
        }
        text.append("},");
        histogram(text, "latency", was.latency);
        histogram(text, "clock_error", was.clockError);
        histogram(text, "end_to_end", was.endToEnd);
        text.setCharAt(text.length() - 1, '}');
        if (events != null) {
            synchronized (events) {
                events.flush();
            }
        }
        return text.toString();
    }

    private static void field(StringBuilder text, String name, long value) {
        text.append('"').append(name).append("\":").append(value).append(',');
    }

    private static void histogram(StringBuilder text, String name, Histogram histogram) {
        ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
        int length = histogram.encodeIntoByteBuffer(buffer);
        byte[] bytes = new byte[length];
        buffer.flip();
        buffer.get(bytes);
        text.append('"').append(name).append("\":\"").append(Base64.getEncoder().encodeToString(bytes)).append("\",");
    }

    private static double total(Map<MetricName, ? extends Metric> metrics, String group, String name) {
        for (Map.Entry<MetricName, ? extends Metric> metric : metrics.entrySet()) {
            MetricName known = metric.getKey();
            // Of metrics with this name the one of the whole client has its id as only tag.
            boolean isWhole = known.tags().size() == 1;
            if (isWhole && known.name().equals(name) && known.group().equals(group)) {
                Object value = metric.getValue().metricValue();
                return value instanceof Double && !((Double) value).isNaN() ? (Double) value : 0;
            }
        }
        return 0;
    }

    private static double grown(String key, double now) {
        Double before = lastMetrics.put(key, now);
        return Math.max(0, now - (before == null ? 0 : before));
    }

    private static String positions() {
        StringBuilder text = new StringBuilder();
        positions.forEach((group, places) -> places.forEach((place, offset) ->
            text.append(group).append(':').append(place).append(':').append(offset).append(' ')));
        return text.toString().trim();
    }

    /** A consumer on its thread. */
    private static final class Reader {
        final KafkaConsumer<byte[], byte[]> consumer;
        private final int group;
        private final Map<Integer, Long> reached;
        private final Thread thread;

        Reader(String[] words) {
            group = Integer.parseInt(words[1]);
            reached = positions.computeIfAbsent(group, any -> new ConcurrentHashMap<>());
            consumer = new KafkaConsumer<>(settings(words[2]), new ByteArrayDeserializer(), new ByteArrayDeserializer());
            boolean isCoordinated = words[3].equals("1");
            Map<TopicPartition, Long> starts = new HashMap<>();
            List<String> topics = new ArrayList<>();
            for (int nth = 4; nth + 2 < words.length; nth += 3) {
                TopicPartition at = new TopicPartition(words[nth], Integer.parseInt(words[nth + 1]));
                starts.put(at, Long.parseLong(words[nth + 2]));
                topics.add(words[nth]);
                reached.put(firsts.get(at.topic()) + at.partition(), starts.get(at));
            }
            if (isCoordinated) {
                consumer.subscribe(topics);
            } else {
                consumer.assign(starts.keySet());
                starts.forEach(consumer::seek);
            }
            thread = new Thread(this::read, "reader");
            thread.setDaemon(true);
        }

        void start() {
            thread.start();
        }

        void end() {
            consumer.wakeup();
        }

        private void read() {
            try {
                while (!isOver) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                        note(record);
                    }
                }
            } catch (WakeupException end) {
                // It is over.
            }
        }

        private void note(ConsumerRecord<byte[], byte[]> record) {
            byte[] value = record.value() == null ? new byte[0] : record.value();
            int place = firsts.get(record.topic()) + record.partition();
            Boolean isWhole = null;
            ByteBuffer stamp = ByteBuffer.wrap(value);
            if (value.length >= STAMP_BYTES && stamp.getInt() == ByteBuffer.wrap(MAGIC).getInt()) {
                isWhole = crc(value, 0, 24) == stamp.getInt(24);
            }
            long end = 0;
            if (isWhole != null && isWhole) {
                end = wall0 + now() - stamp.getLong(16);
                if (verify) {
                    event('S', stamp.getInt(4), place, stamp.getLong(8), group);
                    isWhole = crc(value, STAMP_BYTES, value.length - STAMP_BYTES) == stamp.getInt(28);
                }
            }
            if (verify && isWhole != null && !isWhole) {
                event('C', 0, place, 0, group);
            }
            synchronized (Load.class) {
                tally.consumed++;
                tally.consumedBytes += value.length + (record.key() == null ? 0 : record.key().length);
                if (isWhole != null) {
                    tally.endToEnd.recordValue(clamp(end));
                }
            }
            reached.put(place, record.offset() + 1);
        }

        private static int crc(byte[] bytes, int from, int length) {
            CRC32C crc = new CRC32C();
            crc.update(bytes, from, length);
            return (int) crc.getValue();
        }
    }
}
