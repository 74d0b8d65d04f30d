#!/bin/sh
# The demo guest's first process. Kernel options: colo.ip=ADDRESS/PREFIX for eth0, colo.ip1= for eth1 and so on,
# colo.ipv6=ADDRESS/PREFIX for eth0, colo.gw=ADDRESS for the default route.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp

while read -r module; do
    insmod "/modules/$module"
done </modules/order

# Addresses are given: no router is asked for any.
echo 0 >/proc/sys/net/ipv6/conf/default/accept_ra
ip link set lo up
for option in $(cat /proc/cmdline); do
    value=${option#*=}
    case $option in
    colo.ip=*) ip addr add "$value" dev eth0 && ip link set eth0 up ;;
    colo.ipv6=*) ip -6 addr add "$value" dev eth0 && ip link set eth0 up ;;
    colo.ip[0-9]*=*)
        number=${option%%=*}
        nic=eth${number#colo.ip}
        ip addr add "$value" dev "$nic" && ip link set "$nic" up
        ;;
    colo.gw=*) gateway=$value ;;
    esac
done
[ -z "$gateway" ] || ip route add default via "$gateway"

# The power button. Its daemon needs files it can write; there is no /var here.
acpid -p /acpid.pid -l /dev/null
exec colo-guest
