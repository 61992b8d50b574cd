# Processes that outlive the script: started in their own session, found again through a pid file.
#
# A pid alone proves nothing: after a crash or a reboot another program may have it. So the file also holds when the
# process started and in which boot, and both must still be true.

process_identity() { # pid
    if [ -r "/proc/$1/stat" ]; then
        local stat
        stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
        # The command name may contain spaces and brackets: fields count from after the last ')'.
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        # A zombie has a pid and answers `kill -0`, but it is dead; whoever should reap it may take seconds, or never come.
        [ "$1" != Z ] && [ "$1" != X ] || return 1
        echo "${20}:$(cat /proc/sys/kernel/random/boot_id)"
    else
        [ ! -d /proc/self ] || return 1
        ps -o lstart= -p "$1" | tr ' ' '_' | grep .
    fi
}

# Prints the pid of the named process if it lives and is ours.
process_pid() { # name
    local pid identity
    process_adopt "$1"
    read -r pid identity 2>/dev/null <"$STATE/run/$1.pid" || return 1
    [ -n "${identity:-}" ] && [ "$(process_identity "$pid")" = "$identity" ] && echo "$pid"
}

# The pids of those who carry this name in their environment: a process and, as they inherit it, its children. Other users' cannot be
# read, and some end meanwhile.
process_carriers() { # name
    { grep -lzxF "AUTOMATION_DEV_PROCESS=$STATE/run/$1" /proc/[0-9]*/environ 2>/dev/null || true; } | cut -d/ -f3 | sort -n
}

# Somebody deleted the pid files under what runs; children are younger.
process_adopt() { # name
    local pid
    if [ -e "$STATE/run/$1.pid" ] || [ ! -d "$STATE/run" ] || [ ! -d /proc/self ]; then return; fi
    pid=$(process_carriers "$1" | sed -n 1p)
    if [ -n "$pid" ]; then printf '%s %s\n' "$pid" "$(process_identity "$pid")" | write_file "$STATE/run/$1.pid"; fi
}

process_lives() { process_pid "$1" >/dev/null; }

# The child writes its own pid file and then becomes the program (same pid, same start time), so there is no moment at
# which it runs unrecorded, even if this script is killed meanwhile. Its own session keeps Ctrl-C from reaching it.
process_start() { # name command...
    local name=$1
    shift
    local session=setsid
    has setsid || session=
    export -f process_identity
    # shellcheck disable=SC2016
    AUTOMATION_DEV_PROCESS="$STATE/run/$name" $session bash -c '
        printf "%s %s\n" "$$" "$(process_identity $$)" >"$1"
        shift
        # 1024 open files, a usual default, is few for a server; Erlang reserves memory per possible file, so not "all".
        ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)" 2>/dev/null
        exec "$@"
    ' dev "$STATE/run/$name.pid" "$@" </dev/null >>"$STATE/log/$name.log" 2>&1 8>&- 9>&- &
    disown
    export -fn process_identity
}

process_signal() { # name signal
    local pid
    if pid=$(process_pid "$1"); then kill "-$2" "$pid" 2>/dev/null || true; fi
}

# Waits for the end of something that was asked to stop, and at last kills it.
process_await_end() { # name seconds
    local deadline=$((SECONDS + $2))
    while process_lives "$1"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "$1 did not stop within $2 s; killing it."
            process_signal "$1" KILL
            deadline=$((SECONDS + 5))
        fi
        sleep 0.1
    done
    rm -f "$STATE/run/$1.pid"
}

process_stop() { # name signal seconds
    process_signal "$1" "$2"
    process_await_end "$1" "$3"
}

# Waits until a check succeeds; gives up early when the process dies, and then shows the end of its log.
process_await() { # name seconds check...
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    # The first moments belong to the child's own writing of its pid file.
    local grace=$((SECONDS + 3))
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then process_report "$name" "was not ready in time"; fi
        if [ "$SECONDS" -ge "$grace" ] && ! process_lives "$name"; then process_report "$name" "stopped while starting"; fi
        sleep 0.1
    done
}

process_report() { # name what
    say "The last lines of $STATE/log/$1.log:"
    tail -n 20 "$STATE/log/$1.log" | sed 's/^/    /' >&2
    die "$1 $2."
}
