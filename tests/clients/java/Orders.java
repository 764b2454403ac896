import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultAfterRollbackProcessor;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.transaction.KafkaTransactionManager;
import org.springframework.util.backoff.FixedBackOff;

/**
 * Listeners of Spring Kafka: bootstrap servers. One handles orders in transactions and gives the bad ones to a dead letter topic
 * after their transaction was rolled back twice; one audits them without transactions, with an error handler. It says "running"
 * and runs until standard input closes, or it is killed; see ../spring.rs.
 */
public final class Orders {
    static String bootstrap;

    @Configuration
    @EnableKafka
    public static class Application {
        private Map<String, Object> consumer(String isolation) {
            Map<String, Object> settings = new HashMap<>();
            settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
            settings.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
            settings.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class);
            settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
            settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, isolation);
            settings.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 6000);
            settings.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300);
            settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 10);
            return settings;
        }

        private Map<String, Object> producer() {
            Map<String, Object> settings = new HashMap<>();
            settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
            settings.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
            settings.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
            settings.put(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, 10000);
            return settings;
        }

        @Bean
        public ProducerFactory<String, String> transactionalProducers() {
            DefaultKafkaProducerFactory<String, String> factory = new DefaultKafkaProducerFactory<>(producer());
            factory.setTransactionIdPrefix("orders-");
            return factory;
        }

        @Bean
        public KafkaTemplate<String, String> transactional() {
            return new KafkaTemplate<>(transactionalProducers());
        }

        @Bean
        public KafkaTemplate<String, String> plain() {
            return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(producer()));
        }

        @Bean
        public ConcurrentKafkaListenerContainerFactory<String, String> inTransactions() {
            ConcurrentKafkaListenerContainerFactory<String, String> factory = factory("read_committed");
            factory.getContainerProperties().setKafkaAwareTransactionManager(
                new KafkaTransactionManager<>(transactionalProducers()));
            DeadLetterPublishingRecoverer recoverer = new DeadLetterPublishingRecoverer(transactional(),
                (record, error) -> new TopicPartition("orders-dead", 0));
            factory.setAfterRollbackProcessor(
                new DefaultAfterRollbackProcessor<>(recoverer, new FixedBackOff(20, 2), transactional(), true));
            return factory;
        }

        @Bean
        public ConcurrentKafkaListenerContainerFactory<String, String> withErrorHandler() {
            ConcurrentKafkaListenerContainerFactory<String, String> factory = factory("read_uncommitted");
            factory.setCommonErrorHandler(new DefaultErrorHandler(
                new DeadLetterPublishingRecoverer(plain(), (record, error) -> new TopicPartition("audit-dead", 0)),
                new FixedBackOff(20, 2)));
            return factory;
        }

        private ConcurrentKafkaListenerContainerFactory<String, String> factory(String isolation) {
            ConcurrentKafkaListenerContainerFactory<String, String> factory =
                new ConcurrentKafkaListenerContainerFactory<>();
            ConsumerFactory<String, String> consumers = new DefaultKafkaConsumerFactory<>(consumer(isolation));
            factory.setConsumerFactory(consumers);
            factory.setConcurrency(2);
            return factory;
        }

        @Bean
        public Handler handler() {
            return new Handler(transactional());
        }
    }

    public static class Handler {
        private final KafkaTemplate<String, String> template;

        Handler(KafkaTemplate<String, String> template) {
            this.template = template;
        }

        @KafkaListener(topics = "orders", groupId = "handlers", containerFactory = "inTransactions")
        public void handle(ConsumerRecord<String, String> record) {
            // It is sent before the record is found to be bad: the rollback must take it back.
            template.send("handled", record.key(), record.value());
            check(record);
        }

        @KafkaListener(topics = "orders", groupId = "auditors", containerFactory = "withErrorHandler")
        public void audit(ConsumerRecord<String, String> record) {
            check(record);
        }

        private static void check(ConsumerRecord<String, String> record) {
            if (record.value().startsWith("bad")) {
                throw new IllegalArgumentException("this order is bad: " + record.value());
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        try (AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext(Application.class)) {
            System.out.write("running\n".getBytes(StandardCharsets.UTF_8));
            System.out.flush();
            while (System.in.read() >= 0) {
                // Only the end of the input means something.
            }
        }
    }
}
