# Which variables each program gets.

# For tests: as administrator of both servers, because every test makes its own database and virtual host.
test_env() {
    cat <<ENV
AUTOMATION_TEST_DATABASE_URL=$(postgres_url postgres "$SECRET_PG_SUPERUSER" postgres)
AUTOMATION_TEST_AMQP_URL=$(amqp_url admin "$SECRET_AMQP_ADMIN")
AUTOMATION_TEST_AMQP_MANAGEMENT_URL=$(management_url admin "$SECRET_AMQP_ADMIN")
ENV
}

# NAME=value lines to `export` lines for a shell. No value holds a quote: they are made of URLs and names.
as_exports() { sed "s/^\([A-Z_]*\)=\(.*\)\$/export \1='\2'/"; }
