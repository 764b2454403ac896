"""The kafka-python side of the client matrix: one job per line, see ../driver.rs.

A record on disk or in the pipe, big endian: u32 length of what follows, i64 offset, i64 timestamp,
i32 key length (-1: null) and key, the same for the value, i32 number of headers, each a key and a value.
"""

import logging
import struct
import sys
import threading
import time

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

DEADLINE_SECONDS = 100


def take_bytes(frame, position):
    (length,) = struct.unpack_from(">i", frame, position)
    position += 4
    if length < 0:
        return None, position
    return frame[position : position + length], position + length


def read_records(path):
    with open(path, "rb") as file:
        while prefix := file.read(4):
            frame = file.read(struct.unpack(">I", prefix)[0])
            (timestamp,) = struct.unpack_from(">q", frame, 8)
            key, position = take_bytes(frame, 16)
            value, position = take_bytes(frame, position)
            (count,) = struct.unpack_from(">i", frame, position)
            position += 4
            headers = []
            for _ in range(count):
                header_key, position = take_bytes(frame, position)
                header_value, position = take_bytes(frame, position)
                headers.append((header_key.decode(), header_value))
            yield timestamp, key, value, headers


def put_bytes(parts, data):
    if data is None:
        parts.append(struct.pack(">i", -1))
    else:
        parts.append(struct.pack(">i", len(data)))
        parts.append(data)


def encode_record(record):
    parts = [struct.pack(">qq", record.offset, record.timestamp)]
    put_bytes(parts, record.key)
    put_bytes(parts, record.value)
    parts.append(struct.pack(">i", len(record.headers)))
    for key, value in record.headers:
        put_bytes(parts, key.encode())
        put_bytes(parts, value)
    body = b"".join(parts)
    return struct.pack(">I", len(body)) + body


def produce(bootstrap, topic, partition, codec, mode, path):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        enable_idempotence=mode == "idempotent",
        acks="all",
        linger_ms=20,
    )
    try:
        futures = [
            producer.send(topic, value=value, key=key, headers=headers, partition=int(partition), timestamp_ms=timestamp)
            for timestamp, key, value, headers in read_records(path)
        ]
        producer.flush(timeout=DEADLINE_SECONDS)
        for future in futures:
            future.get(timeout=1)
        return len(futures)
    finally:
        producer.close()


def consume(bootstrap, topic, partition, count, path):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    try:
        assigned = TopicPartition(topic, int(partition))
        consumer.assign([assigned])
        consumer.seek_to_beginning(assigned)
        seen = 0
        deadline = time.monotonic() + DEADLINE_SECONDS
        with open(path, "wb") as out:
            while seen < int(count):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{seen} of {count} records after {DEADLINE_SECONDS} s")
                for records in consumer.poll(timeout_ms=500).values():
                    for record in records:
                        out.write(encode_record(record))
                        seen += 1
        return seen
    finally:
        consumer.close()


class Assigned(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        print(f"has\t{len(assigned)}", flush=True)


def member(bootstrap, topic, group):
    """A member of a group, until standard input closes: see ../members.rs."""
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        max_poll_records=20,
    )
    consumer.subscribe([topic], listener=Assigned())
    while not ended.is_set():
        records = [record for some in consumer.poll(timeout_ms=200).values() for record in some]
        if records:
            try:
                consumer.commit()
            except KafkaError as error:  # a later commit makes up for it, or the records come again
                logging.warning("commit: %s", error)
        for record in records:
            print(f"read\t{record.value.decode()}", flush=True)
    consumer.close()


def main():
    logging.basicConfig(level=logging.ERROR)
    if sys.argv[1:2] == ["member"]:
        member(*sys.argv[2:])
        return
    jobs = {"produce": produce, "consume": consume}
    for line in sys.stdin:
        job, *words = line.rstrip("\n").split("\t")
        try:
            answer = f"ok\t{jobs[job](*words)}"
        except Exception as error:  # one failed job must not end the driver: its reason goes to the test
            answer = f"fail\t{type(error).__name__}: {error}".replace("\n", " ")
        print(answer, flush=True)


main()
