#!/bin/sh -e
# Installs an .rpm as dnf does on a system that has nothing else, its dependencies resolved; starts it there, and takes it away again.
#
#     packages/cli/try-rpm.sh packages/cli/out/svcproxy-0.1.0-1.x86_64.rpm      (root; apt-get install rpm dnf createrepo-c)
#
# The system is made of this machine's own libraries: rpmbuild finds out what they offer, so that what the package asks for is
# asked of real ones.
package=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

libraries=$(ldd /sbin/ip "$(command -v rpmbuild)" | awk '$3 ~ /^\// { print $3 }' | sort -u)
for name in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 libstdc++.so.6 libgcc_s.so.1 libatomic.so.1; do
  libraries="$libraries $(ldconfig -p | awk -v name="$name" '$1 == name && /x86-64|AArch64/ { print $NF; exit }')"
done
loader=$(ldd /sbin/ip | awk '$1 ~ /^\/.*ld-linux/ { print $1 }')

cat > system.spec <<SPEC
Name: system
Version: 1
Release: 1
Summary: what a system has before svcproxy
License: none
Provides: rtld(GNU_HASH)
%description
%package -n iproute
Summary: ip
%description -n iproute
%install
mkdir -p %{buildroot}/lib64 %{buildroot}/usr/sbin %{buildroot}$(dirname "$loader")
$(for library in $libraries; do echo "install -m 755 $(readlink -f "$library") %{buildroot}/lib64/$(basename "$library")"; done)
install -m 755 $(readlink -f "$loader") %{buildroot}$loader
install -m 755 $(readlink -f /sbin/ip) %{buildroot}/usr/sbin/ip
%files
$(for library in $libraries; do echo "/lib64/$(basename "$library")"; done | sort -u)
$loader
%files -n iproute
/usr/sbin/ip
SPEC
rpmbuild --define "_topdir $work/build" --define "debug_package %{nil}" --define "_binary_payload w1.gzdio" -bb system.spec > build.log 2>&1 ||
  { tail -5 build.log; exit 1; }
mkdir repository
find build/RPMS -name '*.rpm' -exec cp {} repository \;
createrepo_c --quiet repository

echo "Without what it needs it is refused:"
mkdir bare
rpm --root "$work/bare" --initdb 2> /dev/null
! rpm --root "$work/bare" --install "$package" 2>&1 | grep -v 'Alien\|assuming'
if rpm --root "$work/bare" --query svcproxy > /dev/null 2>&1; then exit 1; fi

echo "With it, dnf installs it and all of it:"
dnf --assumeyes --quiet --installroot="$work/root" --releasever=1 --disablerepo='*' --repofrompath="system,file://$work/repository" \
  --enablerepo=system --nogpgcheck --setopt=install_weak_deps=False install "$package" > dnf.log 2>&1 || { cat dnf.log; exit 1; }
mkdir -p root/etc && echo /lib64 > root/etc/ld.so.conf && ldconfig -r root
rpm --root "$work/root" --query --all 2> /dev/null
rpm --root "$work/root" --verify svcproxy 2> /dev/null
echo "svcproxy $(chroot root svcproxy --version)"
chroot root svcproxy check /usr/share/doc/svcproxy/examples/cloudos.yaml --host cloudos1 --summary

echo "It goes without a trace:"
rpm --root "$work/root" --erase svcproxy 2> /dev/null
left=$(find root -name '*svcproxy*' -not -path '*/rpm/*' -not -path '*/dnf/*')
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
echo done
