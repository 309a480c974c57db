package servertest

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	mdns "github.com/miekg/dns"
)

// NameServer is one of Debian's nsd: the DNS of somebody else, such as a
// registry or who keeps a zone by hand.
type NameServer struct {
	// Addr is where it answers, over UDP and TCP.
	Addr netip.AddrPort

	t       testing.TB
	dir     string
	program *program

	mu     sync.Mutex
	serial uint32
	zones  []string
	keys   map[string]*zoneKeys // of signed zones
}

// NSD starts a name server at an address, as FreeAddr finds one, for the zones of
// these origins, which are empty at first. It stops at the test's end.
func NSD(t testing.TB, at netip.AddrPort, origins ...string) *NameServer {
	t.Helper()
	path := tool(t, "nsd", "nsd")
	a := &NameServer{Addr: at, t: t, dir: t.TempDir(), serial: 1, keys: map[string]*zoneKeys{}}
	for _, origin := range origins {
		origin = mdns.Fqdn(strings.ToLower(origin))
		a.zones = append(a.zones, origin)
		a.write(origin, a.file(origin, ""))
	}
	conf := filepath.Join(a.dir, "nsd.conf")
	if err := os.WriteFile(conf, []byte(a.configuration()), 0o600); err != nil {
		t.Fatal(err)
	}
	a.program = run(t, path, "-d", "-c", conf)
	for _, origin := range a.zones {
		a.program.answers(at, origin, hasSerial(a.serial))
	}
	return a
}

func (a *NameServer) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  ip-address: %s@%d
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "%[3]s"
  pidfile: "%[3]s/nsd.pid"
  xfrdfile: "%[3]s/xfrd.state"
  xfrdir: "%[3]s"
  zonelistfile: "%[3]s/zone.list"
  database: ""
  rrl-ratelimit: 0
remote-control:
  control-enable: no
`, a.Addr.Addr(), a.Addr.Port(), a.dir)
	for _, origin := range a.zones {
		fmt.Fprintf(&b, "zone:\n  name: \"%s\"\n  zonefile: \"%s\"\n", origin, a.path(origin))
	}
	return b.String()
}

func (a *NameServer) path(origin string) string {
	return filepath.Join(a.dir, "zone-"+strings.TrimSuffix(origin, ".")+".zone")
}

func (a *NameServer) write(origin, text string) {
	a.t.Helper()
	if err := os.WriteFile(a.path(origin), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// file is a whole master file: records of a zone below its SOA and NS. The name
// server is ns.ORIGIN, at the address of this one. Records live for a second where
// they say nothing else, and so does a no.
func (a *NameServer) file(origin, records string) string {
	ns := mdns.Fqdn("ns." + strings.TrimPrefix(origin, "."))
	return fmt.Sprintf("$ORIGIN %s\n$TTL 1\n@ SOA %s hostmaster %d 3600 600 86400 1\n@ NS %[2]s\n%[2]s A %[4]s\n%s\n",
		origin, ns, a.serial, a.Addr.Addr(), records)
}

// SetZone replaces the records of one of its zones, in the form of a master file
// (RFC 1035, section 5) without SOA and NS of the zone itself, and returns when
// they are in the answers. Names without a final dot are relative to the origin.
func (a *NameServer) SetZone(origin, records string) {
	a.t.Helper()
	a.set(origin, func(origin string) string { return a.file(origin, records) })
}

func (a *NameServer) set(origin string, text func(origin string) string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	origin = mdns.Fqdn(strings.ToLower(origin))
	a.serial++
	a.write(origin, text(origin))
	// nsd looks at the time of a file, in nanoseconds where there are such.
	if err := a.program.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		a.t.Fatal(err)
	}
	// For a moment the process that knew the zone as it was answers beside the one that
	// takes its place.
	for range handover {
		a.program.answers(a.Addr, origin, hasSerial(a.serial))
	}
}

// handover is how many answers in a row come from the new process alone.
const handover = 20

func hasSerial(serial uint32) func(*mdns.Msg) bool {
	return func(m *mdns.Msg) bool {
		if len(m.Answer) == 0 {
			return false
		}
		soa, ok := m.Answer[0].(*mdns.SOA)
		return ok && soa.Serial == serial
	}
}

// Delegation is the records that delegate a zone to a name server, for the zone
// above: NS, and the address of the server (glue).
func Delegation(zone, server string, at netip.Addr) string {
	kind := "A"
	if at.Is6() {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s NS %s\n%[2]s %s %s\n", mdns.Fqdn(zone), mdns.Fqdn(server), kind, at)
}
