package dns_test

import (
	"net/netip"
	"testing"

	"postern/dns"
)

func TestIsPublic(t *testing.T) {
	for s, want := range map[string]bool{
		"192.0.2.1": false, "8.8.8.8": true, "127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "172.32.0.1": true,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false,
		"224.0.0.1": false, "198.18.0.1": false, "::1": false, "::": false, "::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true,
		"::127.0.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "ff02::1": false, "2001:db8::1": false,
		"2606:4700::1111": true, "64:ff9b::127.0.0.1": false, "64:ff9b::8.8.8.8": true, "2002:7f00:1::": false,
		"2002:808:808::": true, "2001::1": false, "fec0::1": false,
		"::ffff:0:127.0.0.1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false, "fd00:ec2::254": false, "168.63.129.16": false,
		"4000::1": false, "2002:a9fe:a9fe::": false,
	} {
		if got := dns.IsPublic(netip.MustParseAddr(s)); got != want {
			t.Errorf("IsPublic(%s) = %t", s, got)
		}
	}
	if dns.IsPublic(netip.Addr{}) {
		t.Error("no address at all is public")
	}
}
