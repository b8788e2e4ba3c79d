"""A Kafka cluster of librdkafka's own. Tells its address on standard error, and from then on writes to the topic "orders"
900 messages, one each 10 ms: keys "odd" and "even" in turn, two lines of text. Its end is the cluster's."""

import signal
import sys
import time

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": "of-its-own", "test.mock.num.brokers": 1, "linger.ms": 0, "log_level": 2})
[broker] = producer.list_topics(timeout=10).brokers.values()
for number in range(900):  # the example reads the latest thousand
    key = "odd" if number % 2 else "even"
    producer.produce("orders", f"message {number}\nsecond line, ü", key, partition=0)
    if number == 0:
        producer.flush(10)
        print(f"listening at {broker.host}:{broker.port}", file=sys.stderr, flush=True)
    producer.poll(0)
    time.sleep(0.01)  # this sets the rate
producer.flush()
signal.pause()
