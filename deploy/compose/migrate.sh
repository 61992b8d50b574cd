#!/bin/sh
# The schema, and what the binary knows of the topology beyond what was imported; running it again changes nothing.
set -eu

AUTOMATION_OWNER_DATABASE_URL=$(cat /run/secrets/automation_owner_url) automation migrate
automation topology apply
automation topology check
