// Publishes events to Automation Engine: one, a batch, and the first one again, each with a confirm.
//
//   npm ci && AMQP_URL=amqp://user:password@host:5672/automation AUTOMATION_TENANT=acme node publish.mjs

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import amqp from "amqplib";

const EXCHANGE = "automation.events";
const STRUCTURED = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";
const TRIES = 8;
const PATIENCE_MS = 10_000;

/** 48 bits of milliseconds, then chance. The engine indexes what it has seen; such ids are neighbours there. */
function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function event(tenant, type, subject, data) {
  return {
    specversion: "1.0",
    id: uuid7(), // Where the fact has an id of its own (an order's), derive it from that.
    source: "example-node",
    type,
    time: new Date().toISOString(),
    tenantid: tenant,
    subject,
    data,
  };
}

class Publisher {
  #url;
  #user;
  #connection;
  #channel;
  #returned = new Set();

  constructor(url) {
    this.#url = url;
    this.#user = decodeURIComponent(new URL(url).username);
  }

  /** Returns when the broker has it. Whoever is in doubt publishes again: the events' ids make that harmless. */
  async publish(type, body, contentType) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#publishOnce(type, body, contentType);
      } catch (error) {
        // After anything that went wrong the connection is replaced: a nack retires a channel for good.
        await this.close();
        if (attempt === TRIES) throw error;
        console.error(`trying again: ${error.message || error.code}`);
        await pause(Math.min(200 * 2 ** attempt, 5_000));
      }
    }
  }

  async #publishOnce(type, body, contentType) {
    const channel = await this.#open();
    const messageId = uuid7();
    const options = { contentType, messageId, userId: this.#user, persistent: true, mandatory: true };
    const content = Buffer.from(JSON.stringify(body));
    await within(PATIENCE_MS, (done) => channel.publish(EXCHANGE, type, content, options, done));
    // The broker confirms what no queue takes, too, and returns it before.
    if (this.#returned.delete(messageId)) throw new Error("no queue takes it: is the engine's topology there?");
  }

  async #open() {
    if (this.#channel) return this.#channel;
    this.#connection = await amqp.connect(this.#url, { timeout: PATIENCE_MS });
    // Without listeners an error would end the process; who waits for a confirm hears of it.
    this.#connection.on("error", () => {});
    this.#channel = await this.#connection.createConfirmChannel();
    this.#channel.on("error", () => {});
    this.#channel.on("return", (message) => this.#returned.add(message.properties.messageId));
    return this.#channel;
  }

  async close() {
    const connection = this.#connection;
    this.#connection = this.#channel = undefined;
    await connection?.close().catch(() => {});
  }
}

/** Waits for a callback, so long and no longer. */
function within(milliseconds, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no confirm in time")), milliseconds);
    start((error) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    });
  });
}

const { AMQP_URL: url, AUTOMATION_TENANT: tenant } = process.env;
if (!url || !tenant) {
  console.error("set AMQP_URL and AUTOMATION_TENANT");
  process.exit(2);
}
const publisher = new Publisher(url);
const order = event(tenant, "order.created", "customer-17", { order_id: "A-1001", total: 129.9, currency: "EUR" });
const visits = Array.from({ length: 20 }, (_, page) =>
  event(tenant, "page.visited", "customer-17", { url: `https://shop.example/${page}` }),
);
await publisher.publish(order.type, order, STRUCTURED);
await publisher.publish("page.visited", visits, BATCH); // one message: at most 500 events of one type, and 4 MiB
await publisher.publish(order.type, order, STRUCTURED); // the same event again, and nothing happens twice
await publisher.close();
console.log(`published ${1 + visits.length} events, one of them twice`);
