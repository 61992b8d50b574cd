// Publishes one event in every way that CloudEvents' own library for JavaScript knows, and prints the id of each.

import amqp from "amqplib";
import { CloudEvent, HTTP, Mode, emitterFor } from "cloudevents";

function event(way) {
  console.log(`node-${way}`);
  return new CloudEvent({
    id: `node-${way}`,
    source: "sdk-node",
    type: "order.created",
    subject: "customer 17 / 100%",
    time: "2026-01-31T12:00:00.500Z",
    datacontenttype: "application/json",
    tenantid: "acme",
    causationdepth: 2,
    data: { order_id: "A-1001", total: 19.99, name: "Jürgen" },
  });
}

async function post(headers, body) {
  const answer = await fetch(process.env.EVENTS_URL, {
    method: "POST",
    headers: { ...headers, authorization: `Bearer ${process.env.API_KEY}` },
    body,
  });
  if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
}

for (const [way, encode] of [["http-structured", HTTP.structured], ["http-binary", HTTP.binary]]) {
  const message = encode(event(way));
  await post(message.headers, message.body);
}

const emit = emitterFor(async (message) => post(message.headers, message.body), { mode: Mode.BINARY });
await emit(event("http-emitter"));

// The library reads batches and writes none; its events are their own JSON.
const batch = [event("http-batch-1"), event("http-batch-2")];
await post({ "content-type": "application/cloudevents-batch+json" }, JSON.stringify(batch));

// It has no binding for AMQP: what it writes for HTTP is carried as it is.
const url = new URL(process.env.AMQP_URL);
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();
const publish = async (contentType, headers, body) => {
  const options = { contentType, headers, persistent: true, mandatory: true, userId: decodeURIComponent(url.username) };
  channel.publish("automation.events", "order.created", Buffer.from(body), options);
  await channel.waitForConfirms();
};
const structured = HTTP.structured(event("amqp-structured"));
await publish("application/cloudevents+json", {}, structured.body);
const batched = [event("amqp-batch-1"), event("amqp-batch-2")];
await publish("application/cloudevents-batch+json", {}, JSON.stringify(batched));
const { data, datacontenttype, ...attributes } = event("amqp-binary").toJSON();
const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, value]));
headers["cloudEvents:time"] = { "!": "timestamp", value: Date.parse("2026-01-31T12:00:00Z") / 1000 };
headers["cloudEvents:id"] = Buffer.from(headers["cloudEvents:id"]);
await publish(datacontenttype, headers, JSON.stringify(data));
await connection.close();
