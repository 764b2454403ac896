import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a group with the new protocol: bootstrap servers, group, "topic:NAME" or "pattern:RE2", group instance or "-",
 * protocol. It prints the value of each record when its offset is committed, and closes when its standard input ends.
 */
public final class Member {
    public static void main(String[] words) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", words[0],
            "group.id", words[1],
            "group.protocol", words[4],
            "enable.auto.commit", false,
            "auto.offset.reset", "earliest",
            "metadata.max.age.ms", 1000));
        if (!words[3].equals("-")) {
            config.put("group.instance.id", words[3]);
        }
        AtomicBoolean ends = new AtomicBoolean();
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Nothing is said, only the end counts.
                }
            } catch (java.io.IOException gone) {
                // That is an end as well.
            }
            ends.set(true);
        });
        watcher.setDaemon(true);
        watcher.start();
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new StringDeserializer())) {
            String subscription = words[2].substring(words[2].indexOf(':') + 1);
            if (words[2].startsWith("pattern:")) {
                consumer.subscribe(new SubscriptionPattern(subscription));
            } else {
                consumer.subscribe(List.of(subscription));
            }
            while (!ends.get()) {
                var records = consumer.poll(Duration.ofMillis(100));
                if (records.isEmpty()) {
                    continue;
                }
                consumer.commitSync();
                StringBuilder lines = new StringBuilder();
                for (ConsumerRecord<byte[], String> record : records) {
                    lines.append(record.value()).append('\n');
                }
                System.out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
                System.out.flush();
            }
        }
    }
}
