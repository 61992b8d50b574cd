"""Publishes one event in every way that CloudEvents' own library for Python knows, and prints the id of each."""

import os
import urllib.request
from datetime import datetime, timezone

import pika
from cloudevents.core.bindings import amqp, http, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import conversion
from cloudevents.v1.http import CloudEvent as FirstCloudEvent

DATA = {"order_id": "A-1001", "total": 19.99, "name": "Jürgen"}
TIME = datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=timezone.utc)


def attributes(way):
    print(f"python-{way}", flush=True)
    return {
        "id": f"python-{way}",
        "source": "sdk-python",
        "type": "order.created",
        "subject": "customer 17 / 100%",
        "datacontenttype": "application/json",
        "tenantid": "acme",
        "causationdepth": 2,
    }


def event(way):
    return CloudEvent(attributes={**attributes(way), "time": TIME}, data=DATA)


def first_event(way):
    return FirstCloudEvent({**attributes(way), "time": TIME.isoformat()}, DATA)


def post(headers, body):
    headers = {**headers, "Authorization": f"Bearer {os.environ['API_KEY']}"}
    request = urllib.request.Request(os.environ["EVENTS_URL"], data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202, answer.status


def over_http():
    for way, encode in [("http-structured", http.to_structured_event), ("http-binary", http.to_binary_event)]:
        message = encode(event(way))
        post(message.headers, message.body)
    for way, encode in [("first-structured", conversion.to_structured), ("first-binary", conversion.to_binary)]:
        headers, body = encode(first_event(way))
        post(headers, body)


def over_amqp():
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()

    def publish(content_type, headers, body):
        properties = pika.BasicProperties(
            content_type=content_type,
            delivery_mode=2,
            user_id=parameters.credentials.username,
            headers=headers,
        )
        channel.basic_publish("automation.events", "order.created", body, properties, mandatory=True)

    for way, encode in [("amqp-structured", amqp.to_structured), ("amqp-binary", amqp.to_binary)]:
        message = encode(event(way), JSONFormat())
        publish(message.properties["content-type"], message.application_properties, message.application_data)
    # The broker's own type for a time, which counts seconds.
    message = amqp.to_binary(event("amqp-timestamp"), JSONFormat())
    headers = {**message.application_properties, "cloudEvents_time": TIME}
    publish(message.properties["content-type"], headers, message.application_data)
    for way, encode in [
        ("rabbitmq-structured", rabbitmq.to_structured_event),
        ("rabbitmq-binary", rabbitmq.to_binary_event),
    ]:
        message = encode(event(way))
        publish(message.content_type, message.headers, message.body)
    connection.close()


over_http()
over_amqp()
