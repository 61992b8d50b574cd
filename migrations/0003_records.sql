-- The records that actions change, and what was refused.

CREATE TABLE contacts (
    tenant_id  uuid NOT NULL, -- no foreign key: each insert would lock the tenant's row
    contact_id uuid NOT NULL, -- a hash of tenant and subject
    subject    text NOT NULL,
    email      text,
    phone      text,
    first_name text,
    last_name  text,
    timezone   text,
    score      double precision NOT NULL DEFAULT 0,
    owner      text,
    tags       text[] NOT NULL DEFAULT '{}',
    segments   text[] NOT NULL DEFAULT '{}',
    fields     jsonb NOT NULL DEFAULT '{}',
    consent    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, contact_id)
) WITH (fillfactor = 70);
CREATE INDEX ON contacts (tenant_id, lower(email)) WHERE email IS NOT NULL;

CREATE TABLE tasks (
    tenant_id   uuid NOT NULL,
    task_id     uuid NOT NULL, -- derived from run and step
    contact_id  uuid,
    run_id      uuid NOT NULL,
    title       text NOT NULL,
    description text,
    due_at      timestamptz,
    assignee    text,
    status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'completed')),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, task_id)
);
CREATE INDEX ON tasks (tenant_id, contact_id, task_id);

CREATE TABLE notes (
    tenant_id  uuid NOT NULL,
    note_id    uuid NOT NULL, -- derived from run and step
    contact_id uuid NOT NULL,
    run_id     uuid NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, note_id)
);
CREATE INDEX ON notes (tenant_id, contact_id, note_id);

-- Messages that ingest refused, with their original bytes. The tenant may be unknown.
CREATE TABLE parked_events (
    parked_id    uuid PRIMARY KEY, -- a hash of reason and message: parking twice is one row
    tenant_id    uuid,
    reason       text NOT NULL,
    detail       text NOT NULL,
    queue        text NOT NULL,
    routing_key  text NOT NULL,
    content_type text,
    amqp_user    text,
    headers      jsonb NOT NULL DEFAULT '{}',
    body         bytea NOT NULL,
    occurrences  int NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL
);
CREATE INDEX ON parked_events (last_seen_at);
CREATE INDEX ON parked_events (tenant_id, last_seen_at);
