#!/usr/bin/env bash
# deploy/rootfs.sh DIR MILLRACE    the image's file system in DIR: the binary MILLRACE with the libraries that it needs, Kafka's tools by
#                                  their names, the folders of the apache/kafka image, and busybox for health checks and a shell.
# The Dockerfile runs it, and so do the tests. Needs busybox-static; as root it gives the folders to the image's user.
set -euo pipefail
root=$1 millrace=$2
busybox=${BUSYBOX:-$(command -v busybox)} || { echo "busybox is missing: apt install busybox-static" >&2; exit 1; }
if ldd "$busybox" > /dev/null 2>&1; then echo "$busybox needs libraries: apt install busybox-static" >&2; exit 1; fi
user=1000

mkdir -p "$root"/{usr/bin,bin,dev,proc,sys,etc/kafka/docker,etc/kafka/secrets,opt/kafka/bin,opt/kafka/config,mnt/shared/config} \
  "$root"/{var/lib/kafka/data,home/appuser,tmp}
chmod 1777 "$root/tmp"
install -m 755 "$millrace" "$root/usr/bin/millrace"
# "name => path (address)" and, of the loader, "path (address)".
ldd "$millrace" | awk '$3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
  install -D -m 755 "$library" "$root$library"
done

install -m 755 "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
printf '#!/bin/sh\nexec /bin/sh "$@"\n' > "$root/bin/bash"
chmod 755 "$root/bin/bash"
# Scripts of the image name bash and env by these paths.
ln -sf ../../bin/env "$root/usr/bin/env"

"$millrace" --help | awk '$1 ~ /^kafka-/ { print $1 }' | while read -r tool; do
  ln -sf /usr/bin/millrace "$root/opt/kafka/bin/$tool.sh"
done
ln -sf /usr/bin/millrace "$root/opt/kafka/bin/kafka-server-start.sh"
printf '#!/bin/sh\nkill -s "${SIGNAL:-TERM}" 1\n' > "$root/opt/kafka/bin/kafka-server-stop.sh"
printf '#!/bin/sh\nexec /usr/bin/millrace container "$@"\n' > "$root/etc/kafka/docker/run"
chmod 755 "$root/opt/kafka/bin/kafka-server-stop.sh" "$root/etc/kafka/docker/run"
install -m 644 "$(dirname "$0")/server.properties" "$root/opt/kafka/config/server.properties"

printf 'root:x:0:0:root:/root:/bin/sh\nappuser:x:%s:%s::/home/appuser:/bin/sh\n' $user $user > "$root/etc/passwd"
printf 'root:x:0:\nappuser:x:%s:\n' $user > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$root/etc/hosts"
if [ "$(id -u)" = 0 ]; then
  chown -R $user:$user "$root"/{var/lib/kafka,etc/kafka,opt/kafka/config,mnt/shared,home/appuser}
fi
