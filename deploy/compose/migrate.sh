#!/bin/sh
# The schema, and what the binary knows of the topology beyond what was imported; running it again changes nothing.
set -eu

# Not as _FILE: going back, this runs with an older binary, which knows the variable alone.
AUTOMATION_OWNER_DATABASE_URL=$(cat /run/secrets/automation_owner_url)
export AUTOMATION_OWNER_DATABASE_URL

# 1 says that some are missing, which is why we are here.
status=$(automation migrate --check --json 2>&1) || [ $? -eq 1 ] || {
    echo "$status" >&2
    exit 1
}
number() { echo "$status" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
if [ "$(number applied)" -gt "$(number known)" ]; then
    echo "the schema is newer than this binary, which can work with it: going back changes neither schema nor topology"
    exit 0
fi
automation migrate
automation topology apply
automation topology check
