#!/bin/sh
# A cable from eth0 to eth1, with the same netem for either way. Kernel option: colo.netem=loss,1%,delay,20ms: what
# tc-netem(8) takes, with commas. A line on the console ends it; then it says what each way did, as JSON.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

while read -r module; do
    insmod "/modules/$module"
done </modules/order

for option in $(cat /proc/cmdline); do
    case $option in
    colo.netem=*) rules=$(echo "${option#*=}" | tr , ' ') ;;
    esac
done

# /bin/tc: this shell would take its own of that name.
brctl addbr br0
for nic in eth0 eth1; do
    # shellcheck disable=SC2086 # words of their own
    /bin/tc qdisc add dev "$nic" root netem limit 1000 $rules || poweroff -f
    brctl addif br0 "$nic"
    ip link set "$nic" up
done
ip link set br0 up
echo "netem: ready"
read -r _
echo "netem: $(/bin/tc -s -j qdisc show dev eth0)"
echo "netem: $(/bin/tc -s -j qdisc show dev eth1)"
poweroff -f
