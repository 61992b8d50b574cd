-- Tenants, who may publish for them, and their workflows.
-- Roles are cluster-wide and come from deploy/postgres/roles.sql, before any migration.

CREATE TABLE tenants (
    tenant_id         uuid PRIMARY KEY,
    key               text NOT NULL UNIQUE CHECK (key ~ '^[a-z0-9-]{1,63}$'),
    name              text NOT NULL,
    -- Moves with every change to the tenant's workflows or grants; ingest reads it with each batch.
    catalogue_version bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE publisher_grants (
    tenant_id   uuid NOT NULL REFERENCES tenants,
    amqp_user   text NOT NULL CHECK (amqp_user <> ''),
    -- Event types, each exact, or with a trailing `*`: `*`, `form.*`.
    event_types text[] NOT NULL CHECK (cardinality(event_types) > 0),
    granted_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, amqp_user)
);

CREATE TABLE workflows (
    tenant_id   uuid NOT NULL REFERENCES tenants,
    workflow_id uuid NOT NULL,
    key         text NOT NULL,
    name        text NOT NULL,
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    version_id  uuid NOT NULL, -- the published version, which new runs are pinned to
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, workflow_id),
    UNIQUE (tenant_id, key)
);

CREATE TABLE workflow_versions (
    tenant_id    uuid NOT NULL,
    version_id   uuid NOT NULL,
    workflow_id  uuid NOT NULL,
    number       int NOT NULL CHECK (number > 0),
    definition   jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version_id),
    UNIQUE (tenant_id, workflow_id, number),
    FOREIGN KEY (tenant_id, workflow_id) REFERENCES workflows
);

ALTER TABLE workflows ADD FOREIGN KEY (tenant_id, version_id) REFERENCES workflow_versions
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE workflow_nodes (
    tenant_id  uuid NOT NULL,
    version_id uuid NOT NULL,
    node_id    text NOT NULL,
    position   int NOT NULL,
    action     text NOT NULL,
    config     jsonb NOT NULL,
    PRIMARY KEY (tenant_id, version_id, node_id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES workflow_versions
);

CREATE TABLE workflow_edges (
    tenant_id  uuid NOT NULL,
    version_id uuid NOT NULL,
    position   int NOT NULL,
    from_id    text NOT NULL, -- a node or a trigger
    case_name  text,
    to_id      text NOT NULL,
    PRIMARY KEY (tenant_id, version_id, position),
    FOREIGN KEY (tenant_id, version_id) REFERENCES workflow_versions
);

CREATE TABLE workflow_triggers (
    tenant_id  uuid NOT NULL,
    version_id uuid NOT NULL,
    trigger_id text NOT NULL,
    event_type text NOT NULL,
    condition  jsonb,
    PRIMARY KEY (tenant_id, version_id, trigger_id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES workflow_versions
);
CREATE INDEX ON workflow_triggers (tenant_id, event_type);

CREATE TABLE workflow_schedules (
    tenant_id   uuid NOT NULL,
    workflow_id uuid NOT NULL,
    trigger_id  text NOT NULL,
    cron        text,
    every       interval,
    timezone    text NOT NULL DEFAULT 'UTC',
    next_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, workflow_id, trigger_id),
    FOREIGN KEY (tenant_id, workflow_id) REFERENCES workflows,
    CHECK ((cron IS NULL) <> (every IS NULL))
);
CREATE INDEX ON workflow_schedules (next_at);
