//! No role sees or touches rows of a tenant that is not in its scope.

use crate::world::{AnyPool, TenantId, World};
use automation_store::Scope;
use automation_store::role::{Api, Batch, Door, Owner, Worker};
use automation_test_support::builders;

/// Statements that give a tenant, `$T`, a row in every table that the builders leave empty.
const ROWS: &str = "
    INSERT INTO publisher_grants VALUES ('$T', 'crm', '{*}');
    INSERT INTO credentials (tenant_id, credential_id, key, kind, allowed_hosts, key_id, wrapped_key, ciphertext)
      VALUES ('$T', gen_random_uuid(), 'crm', 'bearer', '{api.example.com:443}', 'k1', 'wrapped', 'encrypted');
    INSERT INTO api_keys (tenant_id, api_key_id, name, prefix, hash, event_types)
      VALUES ('$T', gen_random_uuid(), 'shop', 'auto_live_abc', sha256(convert_to('$T', 'UTF8')), '{*}');
    INSERT INTO hooks (tenant_id, hook_id, name, verification, headers)
      VALUES ('$T', 'hk_' || left(replace('$T', '-', ''), 32), 'stripe', 'standard', '{}');
    INSERT INTO hook_secrets (tenant_id, hook_id, secret_id, key_id, wrapped_key, ciphertext)
      SELECT tenant_id, hook_id, gen_random_uuid(), 'k1', 'wrapped', 'encrypted' FROM hooks WHERE tenant_id = '$T';
    INSERT INTO workflow_schedules (tenant_id, workflow_id, trigger_id, schedule_id, version_id, tenant_key, definition,
                                    anchor_at, next_slot_at, due_at)
      SELECT tenant_id, workflow_id, 'nightly', gen_random_uuid(), version_id, 'key', '{}', now(), now(), now()
        FROM workflows WHERE tenant_id = '$T';
    INSERT INTO workflow_drafts (tenant_id, key, source, saved_by) VALUES ('$T', 'next', '{}', 'ada');
    INSERT INTO enrolments SELECT tenant_id, workflow_id, 'ada' FROM workflows WHERE tenant_id = '$T';
    INSERT INTO run_inbox (tenant_id, run_id, input)
      SELECT tenant_id, run_id, '{}' FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO waits SELECT tenant_id, gen_random_uuid(), 'email.clicked', run_id FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO approvals (tenant_id, approval_id, run_id, workflow_id, node, visit, question, approvers, asked_at)
      SELECT tenant_id, gen_random_uuid(), run_id, workflow_id, 'boss', 1, 'May we?', '{maria}', now() FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO watched_types VALUES ('$T', 'email.clicked');
    INSERT INTO contact_events VALUES ('$T', gen_random_uuid(), 'email.clicked', now(), gen_random_uuid(), now());
    INSERT INTO outbox (tenant_id, run_id, event_type, body)
      SELECT tenant_id, run_id, 'contact.tag_added', '{}' FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO tasks (tenant_id, task_id, run_id, title, created_at) VALUES ('$T', gen_random_uuid(), gen_random_uuid(), 'Call', now());
    INSERT INTO notes VALUES ('$T', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'Called', now());
    INSERT INTO workflow_run_logs SELECT tenant_id, run_id, 1, now(), 'test', '[]' FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO effects (tenant_id, run_id, node, visit, action, idempotency_key, delivery, request, status)
      SELECT tenant_id, run_id, 'call', 1, 'http_request', gen_random_uuid(), 'at_least_once', '{}', 'pending'
        FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO runs_finished (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, run_key, status,
                               priority, epoch, received_at, finished_at, state)
      SELECT tenant_id, gen_random_uuid(), workflow_id, version_id, trigger_id, event_id, run_key, 'completed',
             priority, 1, received_at, now(), '{}' FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO parked_events (parked_id, tenant_id, reason, detail, queue, routing_key, body, first_seen_at, last_seen_at)
      VALUES (gen_random_uuid(), '$T', 'malformed_json', '', 'q', 'k', '', now(), now());
    INSERT INTO dead_letters (tenant_id, dead_letter_id, run_id, epoch, workflow_id, version_id, code, message, signature,
                              event_id, run_key, died_at)
      SELECT tenant_id, gen_random_uuid(), run_id, 1, workflow_id, version_id, 'http_status', '', '0123456789abcdef',
             event_id, run_key, now() FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO dead_letter_groups VALUES ('$T', '0123456789abcdef', 'ada', NULL, now(), 'ada');
    INSERT INTO suspects SELECT '$T', run_id, 'node', workflow_id, version_id, 'call', true FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO suspended_parts SELECT '$T', version_id, 'node', 'call', workflow_id, run_id, 3 FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO run_goals SELECT tenant_id, gen_random_uuid(), 'order.completed', run_id, workflow_id, version_id, event_id, now(),
                                 now(), true, '{}' FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO goal_counts SELECT tenant_id, workflow_id, version_id, 2, 1 FROM runs_open WHERE tenant_id = '$T';
    INSERT INTO notices VALUES ('$T', gen_random_uuid(), 'loop_stopped', 'a', '{a}', '{}', 1, now(), now());
    INSERT INTO audit_log VALUES ('$T', 1, now(), 'ada', 'dead_letter.discard', 'x', '{}',
                                  decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'));
    INSERT INTO tenant_quotas VALUES ('$T', 'contacts', 1000000);
    INSERT INTO tenant_retention VALUES ('$T', 'events', 30);
    INSERT INTO tenant_usage VALUES ('$T', 'contacts', '1970-01-01', 100);
    INSERT INTO audit_links SELECT '$T', 1, now(), 'dead_letter.discard', h, '{}', 'k1', h FROM decode(repeat('00', 32), 'hex') h;
    INSERT INTO audit_words SELECT '$T', 1, h, 'ada', 'x', '{}' FROM decode(repeat('00', 32), 'hex') h;
    INSERT INTO audit_heads SELECT '$T', 1, h, 0, h, 'k1', h FROM decode(repeat('00', 32), 'hex') h;
";

/// Two tenants with a row in every table: the first is in scope, the second is not.
async fn two_tenants() -> anyhow::Result<(World, TenantId)> {
    let world = World::new().await?;
    world.run("1").await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    let workflow = builders::workflow(&world.api, other, "welcome").await?;
    builders::run(&world.worker, other, workflow, builders::event("rival", "1")).await?;
    for tenant in [world.tenant, other] {
        world.database.execute(&ROWS.replace("$T", &tenant.to_string())).await?;
    }
    Ok((world, other))
}

/// Every table and view with a tenant, partitions left out.
async fn tables(world: &World) -> anyhow::Result<Vec<String>> {
    let mut connection = world.database.superuser().await?;
    let rows = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
          ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await?;
    Ok(rows)
}

/// What a statement came to, which is undone: the number it gave, or a refusal.
async fn try_sql(db: &dyn AnyPool, scope: Scope<'_>, sql: &str) -> Result<i64, String> {
    db.try_sql(scope, sql).await
}

fn refused(outcome: &Result<i64, String>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|error| error.contains("permission denied") || error.contains("row-level security"))
}

#[tokio::test]
async fn every_table_with_a_tenant_has_forced_row_level_security() -> anyhow::Result<()> {
    let world = World::new().await?;
    let unprotected = world
        .database
        .count(
            "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        )
        .await?;
    assert_eq!(unprotected, 0);
    let invoker_views = world
        .database
        .count("SELECT count(*) FROM pg_class WHERE relkind = 'v' AND relname = 'workflow_runs' AND 'security_invoker=true' = ANY (reloptions)")
        .await?;
    assert_eq!(invoker_views, 1);
    Ok(())
}

#[tokio::test]
async fn no_role_of_the_run_time_may_bypass_the_policies() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mighty = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'automation%'
                     AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)";
    assert_eq!(world.database.count(mighty).await?, 0);
    let owners = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
                   WHERE c.relnamespace = 'public'::regnamespace AND r.rolname <> 'automation_owner'";
    assert_eq!(world.database.count(owners).await?, 0);
    Ok(())
}

/// The negative control: without it the matrix would pass on empty tables.
#[tokio::test]
async fn the_owner_sees_a_row_of_each_tenant_in_every_table() -> anyhow::Result<()> {
    let (world, other) = two_tenants().await?;
    let owner = world.database.store::<Owner>();
    for table in tables(&world).await? {
        for tenant in [world.tenant, other] {
            let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'");
            let seen = try_sql(&owner, Scope::Unscoped, &sql).await;
            assert!(seen.as_ref().is_ok_and(|count| *count > 0), "{table} of {tenant}: {seen:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn api_and_worker_see_and_touch_nothing_of_another_tenant() -> anyhow::Result<()> {
    let (world, other) = two_tenants().await?;
    let own = world.tenant;
    let mut readable = 0;
    for (name, db, scope) in [
        ("api", &world.api as &dyn AnyPool, Scope::Tenant(own)),
        ("worker", &world.worker, Scope::Tenants(&[own])),
    ] {
        for table in tables(&world).await? {
            let mine =
                try_sql(db, scope, &format!("SELECT count(*) FROM {table} WHERE tenant_id = '{own}'")).await;
            let theirs =
                try_sql(db, scope, &format!("SELECT count(*) FROM {table} WHERE tenant_id = '{other}'"))
                    .await;
            if refused(&mine) {
                assert!(refused(&theirs), "{name} on {table}: {theirs:?}");
                continue;
            }
            readable += 1;
            assert!(mine.as_ref().is_ok_and(|count| *count > 0), "{name} must see its own {table}: {mine:?}");
            // Workers resolve tenants by key before they can name them; nothing of a tenant's data is in that table.
            let expected = i64::from(name == "worker" && table == "tenants");
            assert_eq!(theirs, Ok(expected), "{name} on {table}");
            for change in [
                format!("UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = '{other}'"),
                format!("DELETE FROM {table} WHERE tenant_id = '{other}'"),
            ] {
                let sql = format!("WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed");
                let changed = try_sql(db, scope, &sql).await;
                assert!(
                    changed == Ok(0)
                        || refused(&changed)
                        || changed.as_ref().is_err_and(|e| e.contains("view")),
                    "{name}: {change}: {changed:?}"
                );
            }
        }
    }
    assert!(readable > 20, "only {readable} tables were readable at all");
    Ok(())
}

#[tokio::test]
async fn a_row_cannot_be_written_into_another_tenant() -> anyhow::Result<()> {
    let (world, other) = two_tenants().await?;
    let insert = format!(
        "WITH made AS (INSERT INTO contacts (tenant_id, contact_id, subject)
                       VALUES ('{other}', gen_random_uuid(), 'eve') RETURNING 1) SELECT count(*) FROM made"
    );
    assert!(refused(&try_sql(&world.worker, Scope::Tenants(&[world.tenant]), &insert).await));
    // The same statement in the right scope, so that the refusal is for the scope alone.
    assert_eq!(try_sql(&world.worker, Scope::Tenants(&[other]), &insert).await, Ok(1));
    let give_away = format!(
        "WITH moved AS (UPDATE contacts SET tenant_id = '{other}' WHERE tenant_id = '{}' RETURNING 1) SELECT count(*) FROM moved",
        world.tenant
    );
    assert!(refused(&try_sql(&world.worker, Scope::Tenants(&[world.tenant]), &give_away).await));
    Ok(())
}

/// A person corrects a request; what became of it is not theirs to say.
#[tokio::test]
async fn the_api_stores_requests_that_wait_and_nothing_of_their_tries() -> anyhow::Result<()> {
    let world = World::new().await?;
    let insert = |columns: &str, values: &str| {
        format!(
            "WITH made AS (INSERT INTO effects (tenant_id, run_id, node, visit, action, idempotency_key, delivery, request,
                                                status {columns})
                           VALUES ('{}', gen_random_uuid(), 'call', 1, 'http_request', gen_random_uuid(), 'at_least_once',
                                   '{{}}', {values}) RETURNING 1) SELECT count(*) FROM made",
            world.tenant
        )
    };
    let scope = Scope::Tenant(world.tenant);
    assert_eq!(try_sql(&world.api, scope, &insert("", "'pending'")).await, Ok(1));
    for (columns, values) in [
        (", started_at", "'done', now()"),
        (", started_at", "'started', now()"),
        (", started_at", "'pending', now()"),
        (", attempts", "'pending', 3"),
        (", tries", "'pending', ARRAY['{}'::bytea]"),
        (", response", "'pending', '{}'"),
    ] {
        let outcome = try_sql(&world.api, scope, &insert(columns, values)).await;
        assert!(refused(&outcome), "{columns}: {values}: {outcome:?}");
        let worker = try_sql(&world.worker, Scope::Tenants(&[world.tenant]), &insert(columns, values)).await;
        assert_eq!(worker, Ok(1), "{columns}: {values}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_changes_who_a_tenant_is() -> anyhow::Result<()> {
    let (world, _) = two_tenants().await?;
    let scopes = [Scope::Tenant(world.tenant), Scope::Tenants(&[world.tenant]), Scope::Unscoped];
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.scheduler, &world.operator] {
        for scope in scopes {
            for column in ["tenant_id = gen_random_uuid()", "key = 'other'", "created_at = now()"] {
                let sql = format!(
                    "WITH done AS (UPDATE tenants SET {column} RETURNING 1) SELECT count(*) FROM done"
                );
                let outcome = try_sql(db, scope, &sql).await;
                assert!(refused(&outcome), "{column}: {outcome:?}");
            }
        }
    }
    for sql in
        ["UPDATE tenants SET key = 'other-' || key", "UPDATE tenants SET tenant_id = gen_random_uuid()"]
    {
        let told = format!("{:#}", world.database.execute(sql).await.unwrap_err());
        assert!(told.contains("cannot be changed"), "even by a superuser: {told}");
    }
    let renamed = "WITH done AS (UPDATE tenants SET name = 'New' RETURNING 1) SELECT count(*) FROM done";
    assert_eq!(try_sql(&world.operator, Scope::Unscoped, renamed).await, Ok(2));
    assert!(refused(&try_sql(&world.api, Scope::Tenant(world.tenant), renamed).await));
    Ok(())
}

#[tokio::test]
async fn a_row_cannot_refer_to_another_tenants_row() -> anyhow::Result<()> {
    let (world, other) = two_tenants().await?;
    let outcome = world
        .database
        .execute(&format!(
            "INSERT INTO workflow_versions (tenant_id, version_id, workflow_id, number, definition)
             SELECT '{}', gen_random_uuid(), workflow_id, 9, '{{}}' FROM workflows WHERE tenant_id = '{other}'",
            world.tenant
        ))
        .await;
    assert!(format!("{:#}", outcome.unwrap_err()).contains("foreign key"));
    Ok(())
}

#[tokio::test]
async fn a_reused_connection_without_a_scope_shows_nothing() -> anyhow::Result<()> {
    let (world, _) = two_tenants().await?;
    let own = world.tenant;
    // One connection each, so that the second transaction meets what the first has left.
    let (api, worker) = (world.database.store_of_size::<Api>(1), world.database.store_of_size::<Worker>(1));
    for (role, db, scope) in
        [("api", &api as &dyn AnyPool, Scope::Tenant(own)), ("worker", &worker, Scope::Tenants(&[own]))]
    {
        let sql = "SELECT count(*) FROM contacts";
        assert_eq!(try_sql(db, scope, sql).await, Ok(1), "{role}");
        assert_eq!(try_sql(db, Scope::Unscoped, sql).await, Ok(0), "{role}");
        assert_eq!(try_sql(db, Scope::Tenants(&[]), sql).await, Ok(0), "{role}");
        assert_eq!(try_sql(db, scope, sql).await, Ok(1), "{role}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_in_scope_can_be_locked() -> anyhow::Result<()> {
    // Under a policy for reading alone FOR UPDATE gives no row and no error.
    let (world, _) = two_tenants().await?;
    let own = world.tenant;
    for (db, scope, tables) in [
        (
            &world.worker as &dyn AnyPool,
            Scope::Tenants(&[own]),
            ["runs_open", "wakeups", "enrolments", "contacts"].as_slice(),
        ),
        (&world.api, Scope::Tenant(own), &["runs_open", "wakeups", "enrolments", "workflows", "tenants"]),
        (&world.scheduler, Scope::Unscoped, &["wakeups", "outbox", "workflow_schedules"]),
    ] {
        for table in tables {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE tenant_id = '{own}' FOR UPDATE) locked"
            );
            assert_eq!(try_sql(db, scope, &sql).await, Ok(1), "{table}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_scheduler_sees_what_is_owed_and_nothing_else() -> anyhow::Result<()> {
    let (world, _) = two_tenants().await?;
    let allowed = ["wakeups", "outbox", "workflow_schedules"];
    for table in tables(&world).await? {
        let seen =
            try_sql(&world.scheduler, Scope::Unscoped, &format!("SELECT count(tenant_id) FROM {table}"))
                .await;
        if allowed.contains(&table.as_str()) {
            assert_eq!(seen, Ok(2), "{table}");
        } else {
            assert!(refused(&seen), "{table}: {seen:?}");
        }
    }
    let body = try_sql(&world.scheduler, Scope::Unscoped, "SELECT count(body) FROM parked_events").await;
    assert!(refused(&body), "{body:?}");
    Ok(())
}

/// What faces the internet can be asked for what a caller shows, and for nothing else.
#[tokio::test]
async fn the_door_touches_no_table_and_calls_its_own_functions_alone() -> anyhow::Result<()> {
    let (world, _) = two_tenants().await?;
    let door = world.database.store::<Door>();
    for table in tables(&world).await? {
        for sql in [
            format!("SELECT count(*) FROM {table}"),
            format!("WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone"),
        ] {
            let outcome = try_sql(&door, Scope::Unscoped, &sql).await;
            assert!(
                refused(&outcome) || outcome.as_ref().is_err_and(|e| e.contains("view")),
                "{sql}: {outcome:?}"
            );
        }
    }
    // By the catalogue, so that columns, sequences, partitions and tables without a tenant count too.
    let rights = "SELECT count(*) FROM pg_class c
                   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
                     AND CASE c.relkind
                         WHEN 'S' THEN has_sequence_privilege('automation_door', c.oid, 'USAGE, SELECT, UPDATE')
                         ELSE has_table_privilege('automation_door', c.oid,
                                  'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                              OR has_any_column_privilege('automation_door', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                         END";
    assert_eq!(world.database.count(rights).await?, 0);
    let mut connection = world.database.superuser().await?;
    // A function with its caller's rights can do no more than the caller.
    let functions: Vec<String> = sqlx::query_scalar(
        "SELECT proname::text FROM pg_proc
          WHERE pronamespace = 'public'::regnamespace AND prosecdef
            AND has_function_privilege('automation_door', oid, 'EXECUTE') ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!(functions, ["door_hook", "door_hook_used", "door_key", "door_over_quota"]);
    let sound = "SELECT count(*) FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
                  WHERE p.proname LIKE 'door_%' AND p.proacl IS NOT NULL AND r.rolname = 'automation_owner'
                    AND 'search_path=public, pg_temp' = ANY (p.proconfig)";
    assert_eq!(world.database.count(sound).await?, 4);
    let memberships = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                        WHERE r.rolname = 'automation_door'";
    assert_eq!(world.database.count(memberships).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_batch_reads_one_tenants_contacts_events_runs_and_workflows_and_writes_nothing()
-> anyhow::Result<()> {
    let (world, other) = two_tenants().await?;
    let own = world.tenant;
    let batch = world.database.store::<Batch>();
    let readable = [
        "contacts",
        "events",
        "runs_finished",
        "runs_open",
        "workflow_runs",
        "workflow_versions",
        "workflows",
    ];
    for table in tables(&world).await? {
        let scope = Scope::Tenant(own);
        let seen_of = async |tenant: TenantId, scope: Scope<'_>| {
            let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'");
            try_sql(&batch, scope, &sql).await
        };
        let mine = seen_of(own, scope).await;
        if readable.contains(&table.as_str()) {
            assert!(mine.as_ref().is_ok_and(|count| *count > 0), "{table}: {mine:?}");
            assert_eq!(seen_of(other, scope).await, Ok(0), "{table}");
            // Neither without a tenant, nor with the tenants of a worker.
            assert_eq!(seen_of(own, Scope::Unscoped).await, Ok(0), "{table}");
            assert_eq!(seen_of(own, Scope::Tenants(&[own, other])).await, Ok(0), "{table}");
        } else {
            assert!(refused(&mine), "{table}: {mine:?}");
        }
        for change in [
            format!("INSERT INTO {table} (tenant_id) VALUES ('{own}')"),
            format!("UPDATE {table} SET tenant_id = tenant_id"),
            format!("DELETE FROM {table}"),
        ] {
            let sql = format!("WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed");
            let changed = try_sql(&batch, scope, &sql).await;
            assert!(
                refused(&changed) || changed.as_ref().is_err_and(|e| e.contains("view")),
                "{change}: {changed:?}"
            );
        }
    }
    // By the catalogue, so that columns, sequences, partitions and tables without a tenant count too.
    let writable = "SELECT count(*) FROM pg_class c
                     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
                       AND CASE c.relkind
                           WHEN 'S' THEN has_sequence_privilege('automation_batch', c.oid, 'USAGE, UPDATE')
                           ELSE has_table_privilege('automation_batch', c.oid,
                                    'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                                OR has_any_column_privilege('automation_batch', c.oid, 'INSERT, UPDATE, REFERENCES')
                           END";
    assert_eq!(world.database.count(writable).await?, 0);
    // Nor does anything act for it with the rights of somebody else.
    let functions = "SELECT count(*) FROM pg_proc
                      WHERE pronamespace = 'public'::regnamespace AND prosecdef
                        AND has_function_privilege('automation_batch', oid, 'EXECUTE')";
    assert_eq!(world.database.count(functions).await?, 0);
    let memberships = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                        WHERE r.rolname = 'automation_batch'";
    assert_eq!(world.database.count(memberships).await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_tenants_grants_quotas_and_parked_events_of_all() -> anyhow::Result<()> {
    let (world, other) = two_tenants().await?;
    for table in tables(&world).await? {
        let theirs = try_sql(
            &world.operator,
            Scope::Tenant(world.tenant),
            &format!("SELECT count(*) FROM {table} WHERE tenant_id = '{other}'"),
        )
        .await;
        let expected = [
            "tenants",
            "publisher_grants",
            "parked_events",
            "tenant_quotas",
            "tenant_retention",
            "tenant_usage",
        ]
        .contains(&table.as_str());
        assert!(theirs == Ok(i64::from(expected)) || (!expected && refused(&theirs)), "{table}: {theirs:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_may_go_past_the_policies_to_a_partition() -> anyhow::Result<()> {
    let (world, _) = two_tenants().await?;
    let mut connection = world.database.superuser().await?;
    let partitions: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await?;
    assert!(partitions.len() >= 15, "{partitions:?}");
    let batch = world.database.store::<Batch>();
    for db in [&world.api as &dyn AnyPool, &world.worker, &batch, &world.scheduler, &world.operator] {
        for partition in &partitions {
            let seen = try_sql(db, Scope::Unscoped, &format!("SELECT count(*) FROM {partition}")).await;
            assert!(refused(&seen), "{partition}: {seen:?}");
        }
    }
    Ok(())
}
