"""Publishes events to Automation Engine: one, a batch, and the first one again, each with a confirm.

    pip install -r requirements.txt
    AMQP_URL=amqp://user:password@host:5672/automation AUTOMATION_TENANT=acme python publish.py
"""

import json
import os
import secrets
import sys
import time
import uuid
from datetime import datetime, timezone

import pika
import pika.exceptions

EXCHANGE = "automation.events"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
TRIES = 8


def uuid7():
    """48 bits of milliseconds, then chance: neighbours in the engine's index. Python 3.14 has uuid.uuid7()."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def event(tenant, event_type, subject, data):
    return {
        "specversion": "1.0",
        "id": uuid7(),  # Where the fact has an id of its own (an order's), derive it from that.
        "source": "example-python",
        "type": event_type,
        "time": datetime.now(timezone.utc).isoformat(),
        "tenantid": tenant,
        "subject": subject,
        "data": data,
    }


class Publisher:
    def __init__(self, url):
        self.parameters = pika.URLParameters(url)
        self.parameters.socket_timeout = 10
        # The longest that the broker may take no messages, because it runs out of memory or disk.
        self.parameters.blocked_connection_timeout = 10
        self.connection = None
        self.channel = None

    def publish(self, event_type, body, content_type):
        """Returns when the broker has it. Whoever is in doubt publishes again: the events' ids make that harmless."""
        properties = pika.BasicProperties(
            content_type=content_type,
            delivery_mode=2,
            message_id=uuid7(),
            user_id=self.parameters.credentials.username,
        )
        message = json.dumps(body, allow_nan=False).encode()
        for attempt in range(1, TRIES + 1):
            try:
                # With confirms on, pika waits here, and raises on a nack and on a returned message.
                self._open().basic_publish(EXCHANGE, event_type, message, properties, mandatory=True)
                return
            except (pika.exceptions.AMQPError, OSError) as error:
                # After anything that went wrong the connection is replaced: a nack retires a channel for good.
                self.close()
                if attempt == TRIES:
                    raise
                print(f"trying again: {error!r}", file=sys.stderr)
                time.sleep(min(0.2 * 2**attempt, 5))

    def _open(self):
        if self.channel is None:
            self.connection = pika.BlockingConnection(self.parameters)
            self.channel = self.connection.channel()
            self.channel.confirm_delivery()
        return self.channel

    def close(self):
        connection, self.connection, self.channel = self.connection, None, None
        try:
            if connection is not None and connection.is_open:
                connection.close()
        except pika.exceptions.AMQPError:
            pass


def main():
    url, tenant = os.environ.get("AMQP_URL"), os.environ.get("AUTOMATION_TENANT")
    if not url or not tenant:
        sys.exit("set AMQP_URL and AUTOMATION_TENANT")
    publisher = Publisher(url)
    order = event(
        tenant, "order.created", "customer-17", {"order_id": "A-1001", "total": 129.9, "currency": "EUR"}
    )
    visits = [
        event(tenant, "page.visited", "customer-17", {"url": f"https://shop.example/{page}"}) for page in range(20)
    ]
    publisher.publish(order["type"], order, STRUCTURED)
    publisher.publish("page.visited", visits, BATCH)  # one message: at most 500 events of one type, and 4 MiB
    publisher.publish(order["type"], order, STRUCTURED)  # the same event again, and nothing happens twice
    publisher.close()
    print(f"published {1 + len(visits)} events, one of them twice")


if __name__ == "__main__":
    main()
