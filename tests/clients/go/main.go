// The franz-go side of the client matrix.
//
// Reads one job per line from standard input, words separated by tabs, and answers each with one
// line: "ok", a tab and the number of records, or "fail", a tab and the reason. See ../driver.rs.
//
// A record on disk or in the pipe, big endian:
//
//	u32 length of what follows | i64 offset | i64 timestamp | i32 key length (-1: null), key
//	| i32 value length (-1: null), value | i32 headers, each: i32 length, key, i32 length (-1: null), value
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if len(os.Args) == 5 && os.Args[1] == "member" {
		if err := member(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		count, err := run(strings.Split(strings.TrimRight(line, "\n"), "\t"))
		if err != nil {
			fmt.Printf("fail\t%s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("ok\t%d\n", count)
		}
	}
}

func run(words []string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	partition, err := strconv.Atoi(words[3])
	if err != nil {
		return 0, err
	}
	switch words[0] {
	case "produce":
		return produce(ctx, words[1], words[2], int32(partition), words[4], words[5] == "idempotent", words[6])
	case "consume":
		count, err := strconv.Atoi(words[4])
		if err != nil {
			return 0, err
		}
		return consume(ctx, words[1], words[2], int32(partition), count, words[5])
	}
	return 0, fmt.Errorf("unknown job %q", words[0])
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func produce(ctx context.Context, bootstrap, topic string, partition int32, codecName string, idempotent bool, path string) (int, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec(codecName)),
		kgo.ProducerLinger(20 * time.Millisecond),
	}
	if !idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	failures := make(chan error, 1)
	count := 0
	for {
		record, err := readRecord(reader)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		record.Topic, record.Partition = topic, partition
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failures <- err:
				default:
				}
			}
		})
		count++
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	select {
	case err := <-failures:
		return 0, err
	default:
		return count, nil
	}
}

func consume(ctx context.Context, bootstrap, topic string, partition int32, count int, path string) (int, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	writer := bufio.NewWriterSize(out, 1<<16)
	seen := 0
	for seen < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("after %d of %d records: %w", seen, count, err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			seen++
			if err == nil {
				err = writeRecord(writer, record)
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return seen, writer.Flush()
}

// A member of a group, until standard input closes: see ../members.rs.
func member(bootstrap, topic, group string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	// Rebalances are blocked while records are printed, so the callbacks never run beside that.
	partitions := 0
	change := func(by int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			partitions += by * len(changed[topic])
			fmt.Printf("has\t%d\n", partitions)
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(change(1)),
		kgo.OnPartitionsRevoked(change(-1)),
		kgo.OnPartitionsLost(change(-1)),
	)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 20)
		records := fetches.Records()
		// A commit that fails is made up for by a later one, or its records come again.
		if err := client.CommitRecords(ctx, records...); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err)
		}
		for _, record := range records {
			fmt.Printf("read\t%s\n", record.Value)
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	return nil
}

func readRecord(reader *bufio.Reader) (*kgo.Record, error) {
	var length uint32
	if err := binary.Read(reader, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	frame := make([]byte, length)
	if _, err := io.ReadFull(reader, frame); err != nil {
		return nil, err
	}
	record := &kgo.Record{Timestamp: time.UnixMilli(int64(binary.BigEndian.Uint64(frame[8:])))}
	frame = frame[16:]
	record.Key, frame = takeBytes(frame)
	record.Value, frame = takeBytes(frame)
	headers := binary.BigEndian.Uint32(frame)
	frame = frame[4:]
	for range headers {
		var key, value []byte
		key, frame = takeBytes(frame)
		value, frame = takeBytes(frame)
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(key), Value: value})
	}
	return record, nil
}

func takeBytes(frame []byte) ([]byte, []byte) {
	length := int32(binary.BigEndian.Uint32(frame))
	if length < 0 {
		return nil, frame[4:]
	}
	return frame[4 : 4+length : 4+length], frame[4+length:]
}

func writeRecord(writer *bufio.Writer, record *kgo.Record) error {
	frame := make([]byte, 4, 64+len(record.Key)+len(record.Value))
	frame = binary.BigEndian.AppendUint64(frame, uint64(record.Offset))
	frame = binary.BigEndian.AppendUint64(frame, uint64(record.Timestamp.UnixMilli()))
	frame = appendBytes(frame, record.Key)
	frame = appendBytes(frame, record.Value)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(record.Headers)))
	for _, header := range record.Headers {
		frame = appendBytes(frame, []byte(header.Key))
		frame = appendBytes(frame, header.Value)
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	_, err := writer.Write(frame)
	return err
}

func appendBytes(frame, bytes []byte) []byte {
	if bytes == nil {
		return binary.BigEndian.AppendUint32(frame, 0xffffffff)
	}
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(bytes)))
	return append(frame, bytes...)
}
