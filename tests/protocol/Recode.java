import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;

/**
 * Reads lines "name version hex", decodes each with Kafka's own class of that name, and answers with the bytes that
 * class encodes, in hex; "default" instead of hex asks for the message on which nothing was set.
 *
 * With the argument "tables" it prints Kafka's error codes and the header versions of its APIs instead.
 */
public class Recode {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message",
        "org.apache.kafka.common.metadata",
        "org.apache.kafka.coordinator.group.generated",
        "org.apache.kafka.coordinator.share.generated",
        "org.apache.kafka.coordinator.transaction.generated",
        "org.apache.kafka.server.log.remote.metadata.storage.generated",
    };

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) {
            tables();
            return;
        }
        Map<String, Class<?>> classes = new HashMap<>();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder output = new StringBuilder();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ", -1);
            Class<?> type = classes.computeIfAbsent(words[0], Recode::find);
            short version = Short.parseShort(words[1]);
            output.append(words[2].equals("default") ? initial(type, version) : recode(type, version, words[2])).append('\n');
        }
        System.out.print(output);
        System.out.flush();
    }

    private static void tables() {
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            System.out.printf("error %d %s %s %s%n", error.code(), error.name(), retriable, error.message());
        }
        for (ApiMessageType type : ApiMessageType.values()) {
            for (short version = type.lowestSupportedVersion(); version <= type.highestSupportedVersion(true); version++) {
                System.out.printf("header %d %d %d %d%n", type.apiKey(), version,
                    type.requestHeaderVersion(version), type.responseHeaderVersion(version));
            }
        }
    }

    private static Class<?> find(String name) {
        for (String prefix : PACKAGES) {
            for (String suffix : new String[] {"", "Data"}) {
                try {
                    return Class.forName(prefix + "." + name + suffix);
                } catch (ClassNotFoundException e) {
                    // The next package may have it.
                }
            }
        }
        throw new IllegalArgumentException(name);
    }

    private static String initial(Class<?> type, short version) {
        try {
            return hex((Message) type.getConstructor().newInstance(), version);
        } catch (Throwable e) {
            return "error " + e;
        }
    }

    private static String recode(Class<?> type, short version, String hex) {
        try {
            ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
            Constructor<?> constructor = type.getConstructor(Readable.class, short.class);
            Message message = (Message) constructor.newInstance(new ByteBufferAccessor(bytes), version);
            return bytes.hasRemaining() ? "error: bytes left" : hex(message, version);
        } catch (Throwable e) {
            return "error " + (e.getCause() == null ? e : e.getCause());
        }
    }

    private static String hex(Message message, short version) {
        ByteBuffer bytes = MessageUtil.toByteBufferAccessor(message, version).buffer();
        return HexFormat.of().formatHex(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.arrayOffset() + bytes.limit());
    }
}
