# What was done once for a database: a mark in the database itself, which goes with it. A file beside it would outlive it.

marked() { # name [value]
    local found
    if servers_given; then
        [ -e "$STATE/run/$1-done" ]
        return
    fi
    found=$(sql automation "SELECT current_setting('dev.$1', true)" 2>/dev/null) && [ "$found" = "${2:-done}" ]
}

# Somebody else's server gives us no right to mark it.
mark() { # name [value]
    if servers_given; then
        : >"$STATE/run/$1-done"
        return
    fi
    sql postgres "ALTER DATABASE automation SET dev.$1 = '${2:-done}'"
}
