// The kafkajs side of the client matrix: one job per line, see ../driver.rs.
//
// A record on disk or in the pipe, big endian: u32 length of what follows, i64 offset, i64 timestamp,
// i32 key length (-1: null) and key, the same for the value, i32 number of headers, each a key and a value.
'use strict'

const fs = require('fs')
const readline = require('readline')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const Cluster = require('kafkajs/src/cluster')
const socketFactory = require('kafkajs/src/network/socketFactory')
const { createLogger } = require('kafkajs/src/loggers')
const logCreator = require('kafkajs/src/loggers/console')
const snappy = require('snappyjs')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')

const DEADLINE_MS = 100_000
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])

// Java clients wrap snappy blocks in xerial framing; the others send one bare block.
const unsnappy = (buffer) => {
  if (!buffer.subarray(0, 8).equals(XERIAL)) return Buffer.from(snappy.uncompress(buffer))
  const blocks = []
  for (let position = 16; position < buffer.length; ) {
    const length = buffer.readUInt32BE(position)
    blocks.push(Buffer.from(snappy.uncompress(buffer.subarray(position + 4, position + 4 + length))))
    position += 4 + length
  }
  return Buffer.concat(blocks)
}

CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async (encoder) => Buffer.from(snappy.compress(encoder.buffer)),
  decompress: async (buffer) => unsnappy(buffer),
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
})
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const takeBytes = (frame, position) => {
  const length = frame.readInt32BE(position)
  if (length < 0) return [null, position + 4]
  return [frame.subarray(position + 4, position + 4 + length), position + 4 + length]
}

const readMessages = (path, partition) => {
  const file = fs.readFileSync(path)
  const messages = []
  for (let start = 0; start < file.length; ) {
    const end = start + 4 + file.readUInt32BE(start)
    const timestamp = file.readBigInt64BE(start + 12).toString()
    let [key, position] = takeBytes(file, start + 20)
    let value
    ;[value, position] = takeBytes(file, position)
    const headers = {}
    let count = file.readInt32BE(position)
    position += 4
    for (; count > 0; count--) {
      let name, content
      ;[name, position] = takeBytes(file, position)
      ;[content, position] = takeBytes(file, position)
      headers[name.toString()] = content
    }
    messages.push({ partition, key, value, headers, timestamp })
    start = end
  }
  return messages
}

const putBytes = (parts, data) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(data === null || data === undefined ? -1 : data.length)
  parts.push(length)
  if (data) parts.push(data)
}

const encodeMessage = (message) => {
  const fixed = Buffer.alloc(16)
  fixed.writeBigInt64BE(BigInt(message.offset), 0)
  fixed.writeBigInt64BE(BigInt(message.timestamp), 8)
  const parts = [fixed]
  putBytes(parts, message.key)
  putBytes(parts, message.value)
  const headers = Object.entries(message.headers).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map((one) => [name, one]) : [[name, value]]
  )
  const count = Buffer.alloc(4)
  count.writeInt32BE(headers.length)
  parts.push(count)
  for (const [name, value] of headers) {
    putBytes(parts, Buffer.from(name))
    putBytes(parts, value)
  }
  const body = Buffer.concat(parts)
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(body.length)
  return Buffer.concat([prefix, body])
}

const RETRY = { retries: 30, initialRetryTime: 50, maxRetryTime: 1000 }

const produce = async (bootstrap, topic, partition, codec, mode, path) => {
  const kafka = new Kafka({ brokers: [bootstrap], clientId: 'kafkajs', logLevel: logLevel.NOTHING, retry: RETRY })
  const producer = kafka.producer({ idempotent: mode === 'idempotent', maxInFlightRequests: 1 })
  await producer.connect()
  try {
    const messages = readMessages(path, Number(partition))
    // Several requests: kafkajs makes one batch of each.
    const step = Math.max(1, Math.ceil(messages.length / 4))
    for (let start = 0; start < messages.length; start += step) {
      await producer.send({ topic, acks: -1, compression: CODECS[codec], messages: messages.slice(start, start + step) })
    }
    return messages.length
  } finally {
    await producer.disconnect()
  }
}

// The consumer of kafkajs always joins a group; its own broker connection reads a partition without one.
const consume = async (bootstrap, topic, partition, count, path) => {
  const cluster = new Cluster({
    logger: createLogger({ level: logLevel.NOTHING, logCreator }),
    socketFactory: socketFactory(),
    brokers: [bootstrap],
    clientId: 'kafkajs',
    connectionTimeout: 10000,
    requestTimeout: 30000,
    metadataMaxAge: 300000,
    retry: RETRY,
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    isolationLevel: 1,
    offsets: new Map(),
    instrumentationEmitter: null,
  })
  await cluster.connect()
  const out = fs.createWriteStream(path, { flags: 'r+' })
  try {
    await cluster.addTargetTopic(topic)
    await cluster.refreshMetadata()
    const leader = cluster.findLeaderForPartitions(topic, [Number(partition)])
    const broker = await cluster.findBroker({ nodeId: Object.keys(leader)[0] })
    const deadline = Date.now() + DEADLINE_MS
    let seen = 0
    let fetchOffset = 0n
    while (seen < Number(count)) {
      if (Date.now() > deadline) throw new Error(`${seen} of ${count} records after ${DEADLINE_MS} ms`)
      const { responses } = await broker.fetch({
        replicaId: -1,
        isolationLevel: 1,
        maxWaitTime: 500,
        minBytes: 1,
        maxBytes: 10485760,
        topics: [{ topic, partitions: [{ partition: Number(partition), fetchOffset: fetchOffset.toString(), maxBytes: 1048576 }] }],
      })
      for (const message of responses[0].partitions[0].messages) {
        if (BigInt(message.offset) < fetchOffset) continue
        fetchOffset = BigInt(message.offset) + 1n
        seen++
        if (!out.write(encodeMessage(message))) await new Promise((resolve) => out.once('drain', resolve))
      }
    }
    return seen
  } finally {
    await new Promise((resolve) => out.end(resolve))
    await cluster.disconnect()
  }
}

// A member of a group, until standard input closes: see ../members.rs.
const member = async (bootstrap, topic, groupId) => {
  const kafka = new Kafka({ brokers: [bootstrap], clientId: 'kafkajs', logLevel: logLevel.NOTHING, retry: RETRY })
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 6000,
    rebalanceTimeout: 10000,
    heartbeatInterval: 300,
    maxWaitTimeInMs: 200,
    metadataMaxAge: 1000,
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    process.stdout.write(`has\t${(payload.memberAssignment[topic] || []).length}\n`)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ message }) => {
      process.stdout.write(`read\t${message.value}\n`)
    },
  })
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.once('end', resolve))
  await consumer.disconnect()
  process.exit(0)
}

const main = async () => {
  if (process.argv[2] === 'member') return member(...process.argv.slice(3))
  await zstd.init()
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [job, ...words] = line.split('\t')
    try {
      process.stdout.write(`ok\t${await { produce, consume }[job](...words)}\n`)
    } catch (error) {
      process.stdout.write(`fail\t${String(error.stack || error).replace(/\s+/g, ' ')}\n`)
    }
  }
  process.exit(0)
}

main()
