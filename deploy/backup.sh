#!/bin/sh
# backup.sh FOLDER [KEEP]: copies what cannot be had again out of the data directory, while wabot runs, into
# FOLDER/DATE-TIME: every account's journal, checked, with the salt of what was forgotten, and the API key that wabot made.
# The newest KEEP copies stay (default 14). Settings, kept media and MongoDB are not in it.
set -eu
umask 077
keep=${2:-14}
case ${1:+$keep} in
    '' | 0* | *[!0-9]*)
        echo "usage: backup.sh FOLDER [KEEP], where KEEP is how many copies stay, at least 1" >&2
        exit 2
        ;;
esac
folder=$(mkdir -p "$1" && cd "$1" && pwd)
data=${WABOT_SERVER__DATA_DIR:-/var/lib/wabot}
code=$(dirname "$(readlink -f "$0")")/..
python=${WABOT_PYTHON:-$code/.venv/bin/python}
new=$folder/$(date -u +%Y%m%d-%H%M%S)
rm -rf "$folder"/*.unfinished

# Of each data directory by itself and from /, so that no settings are needed and none are found.
cd /
for journal in "$data"/wabot.db "$data"/accounts/*/wabot.db; do
    [ -e "$journal" ] || continue
    from=$(dirname "$journal")
    to=$new.unfinished${from#"$data"}
    mkdir -p "$to"
    env -i PATH="$PATH" WABOT_SERVER__DATA_DIR="$from" "$python" "$code/run.py" --config /dev/null backup "$to/wabot.db" >/dev/null
    for file in wabot.db.salt api-key; do
        [ ! -e "$from/$file" ] || cp "$from/$file" "$to/$file"
    done
done
[ -d "$new.unfinished" ] || { echo "there is no journal in $data" >&2; exit 1; }
mv "$new.unfinished" "$new"
echo "$new"

find "$folder" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*-[0-9]*' | sort | head -n "-$keep" |
    while read -r old; do rm -rf "$old"; done
