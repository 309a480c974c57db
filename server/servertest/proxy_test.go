package servertest_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/dns/nameserver"
	"postern/server"
	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// balanced is a server behind a load balancer at 127.0.0.1.
func balanced(t *testing.T, listeners ...string) *servertest.Postern {
	return servertest.New(t, servertest.Options{Agents: []string{"scout"}, Configure: func(c *server.Config) {
		host, _, _ := net.SplitHostPort(c.Listen.Panel)
		c.Listen.HTTP, c.Listen.HTTPS = net.JoinHostPort(host, "0"), net.JoinHostPort(host, "0")
		c.Proxy = server.ProxyConfig{From: []string{"127.0.0.1"}, Listeners: listeners}
	}})
}

// version1 and version2 are what a balancer says of a client.
func version1(client string) string {
	return fmt.Sprintf("PROXY TCP4 %s 192.0.2.25 4711 25\r\n", client)
}

func version2(client string) string {
	from := netip.MustParseAddr(client)
	b := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")
	b = append(b, from.AsSlice()...)
	b = binary.BigEndian.AppendUint32(append(b, 192, 0, 2, 25), 4711<<16|25)
	return string(b)
}

// health is a connection that the balancer opens for itself.
const health = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// through connects from an address of this machine, says something first, and does TLS
// where the door begins with it.
func through(t *testing.T, p *servertest.Postern, door, from, first string) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", p.Addr(door).String())
	fatal(t, err)
	t.Cleanup(func() { conn.Close() })
	fatal(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, first)
	fatal(t, err)
	if door != "smtp" && door != "submission" && door != "http" {
		conn = tls.Client(conn, &tls.Config{RootCAs: p.Pool(), ServerName: p.Host})
	}
	return &peer{t, conn, bufio.NewReaderSize(conn, 64<<10)}
}

// served says whether a door answers, in its own way of beginning.
func served(c *peer, door string) error {
	if strings.HasPrefix(door, "http") || door == "panel" {
		if _, err := io.WriteString(c.conn, "GET /login HTTP/1.1\r\nHost: mail.alpha.test\r\nConnection: close\r\n\r\n"); err != nil {
			return err
		}
	}
	text, err := c.in.ReadString('\n')
	if err == nil && !strings.HasPrefix(text, "220 ") && !strings.HasPrefix(text, "* OK") && !strings.HasPrefix(text, "HTTP/1.1 ") {
		err = fmt.Errorf("it says %q", text)
	}
	return err
}

// TestProxyAtEveryDoor: what connects from the balancer is served with a header of
// either version and never without; from elsewhere nobody says whose a connection is.
func TestProxyAtEveryDoor(t *testing.T) {
	p := balanced(t)
	for _, door := range []string{"smtp", "submission", "submissions", "imaps", "http", "https", "panel"} {
		t.Run(door, func(t *testing.T) {
			for name, first := range map[string]string{"version 1": version1("198.51.100.7"), "version 2": version2("198.51.100.7"), "a health check": health,
				"a health check, version 1": "PROXY UNKNOWN\r\n"} {
				if err := served(through(t, p, door, "127.0.0.1", first), door); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for name, first := range map[string]string{"another greeting": "EHLO client.example.org\r\n", "a cut header": "PROXY TCP4 198.51.100.7\r\n",
				"another version": strings.Replace(version2("198.51.100.7"), "\x21", "\x31", 1), "a long line": "PROXY " + strings.Repeat("x", 4000)} {
				if err := served(through(t, p, door, "127.0.0.1", first), door); err == nil {
					t.Errorf("%s is served", name)
				}
			}
			if err := served(through(t, p, door, "127.0.0.9", ""), door); err != nil {
				t.Errorf("from elsewhere: %v", err)
			}
			if door != "smtp" && door != "submission" && door != "http" { // these speak first, or say that it is no request
				if err := served(through(t, p, door, "127.0.0.9", version1("198.51.100.7")), door); err == nil {
					t.Error("a header from elsewhere is passed over")
				}
			}
		})
	}
	fatal(t, p.Down()) // what is counted is written
	fatal(t, p.Up())
	n := 0
	for _, e := range events(t, p, audit.StrangersRefused) {
		if e.Fields.Text(audit.KeyRule) == "proxy-header" {
			count, _ := e.Fields.Int(audit.KeyCount)
			n += int(count)
		}
	}
	if n != 7*4 { // AU-13
		t.Errorf("%d headers were refused, want 28", n)
	}
}

// TestProxyFromElsewhere: at a door that greets first, a header from somewhere else is a
// command that there is not, and the client is who connected.
func TestProxyFromElsewhere(t *testing.T) {
	p := balanced(t)
	c := through(t, p, "smtp", "127.0.0.9", "")
	c.reply()
	if r := c.command(strings.TrimSpace(version1("198.51.100.7"))); r[0] != '5' {
		t.Errorf("it says %s", r)
	}
	c.command("EHLO sender.test")
	if r := c.send(p.Agents["scout"].Address, "Subject: spoofed\r\n\r\nHello.\r\n"); r[0] != '2' {
		t.Fatal(r)
	}
	for _, e := range events(t, p, audit.MessageReceived) {
		if e.Actor.Network != netip.MustParseAddr("127.0.0.9") {
			t.Errorf("it came from %s", e.Actor.Network)
		}
	}
}

// TestProxyMail: SPF, the event and the limits are about the client that the balancer
// told of.
func TestProxyMail(t *testing.T) {
	p := balanced(t)
	scout := p.Agents["scout"]
	fatal(t, p.World.Names.SetZone(nameserver.Zone{Origin: "sender.test", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
		{Name: "sender.test", Type: nameserver.TXT, Data: "v=spf1 ip4:198.51.100.7 -all"}}}))
	for _, first := range []string{version1("198.51.100.7"), version2("203.0.113.9")} {
		c := through(t, p, "smtp", "127.0.0.1", first)
		c.reply()
		c.command("EHLO sender.test")
		if r := c.send(scout.Address, fmt.Sprintf("From: <ada@sender.test>\r\nSubject: Hello\r\n\r\nHello, %x.\r\n", first)); r[0] != '2' {
			t.Fatal(r)
		}
	}
	c := through(t, p, "imaps", "127.0.0.1", version1("198.51.100.7"))
	c.line()
	c.want("OK", "LOGIN "+scout.Address+" "+scout.Token)
	c.want("OK", "SELECT INBOX")
	got := string(c.want("OK", "FETCH 1:2 BODY[HEADER]"))
	if strings.Count(got, "spf=pass") != 1 || strings.Count(got, "spf=fail") != 1 {
		t.Errorf("SPF: %s", got)
	}
	var came []string
	for _, e := range events(t, p, audit.MessageReceived) {
		came = append(came, e.Actor.Network.String())
	}
	if got := strings.Join(came, " "); got != "198.51.100.7 203.0.113.9" && got != "203.0.113.9 198.51.100.7" {
		t.Errorf("messages came from %s", got)
	}
	for _, e := range events(t, p, audit.SessionLogin) {
		if e.Actor.Network != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("a login came from %s", e.Actor.Network)
		}
	}
}

// TestAC13_ProxyNetworks: a credential that is bound to a network works for the clients
// whom the balancer told of, and neither for others of its clients, nor for the balancer
// itself, nor for who only says to be there.
func TestAC13_ProxyNetworks(t *testing.T) {
	p := balanced(t)
	bound := *p.Agents["scout"]
	var err error
	_, bound.Token, err = p.Server().Directory().CreateCredential(t.Context(), storage.System, p.Org.ID, directory.CredentialSpec{
		Agent: bound.Agent.ID, Scopes: []storage.Scope{{Inbox: bound.Inbox.ID, Verbs: storage.Read | storage.Send}},
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	fatal(t, err)
	for _, who := range []struct {
		name, from, first string
		in                bool
	}{
		{"of the network", "127.0.0.1", version2("198.51.100.7"), true},
		{"of another", "127.0.0.1", version2("203.0.113.9"), false},
		{"the balancer", "127.0.0.1", health, false},
		{"past the balancer", "127.0.0.9", "", false},
	} {
		c := through(t, p, "imaps", who.from, who.first)
		c.line()
		if got, _ := c.ask("LOGIN " + bound.Address + " " + bound.Token); strings.HasPrefix(got, "OK") != who.in {
			t.Errorf("IMAP, %s: %s", who.name, got)
		}
		for _, door := range []string{"submissions", "submission"} {
			c := through(t, p, door, who.from, who.first)
			c.reply()
			c.command("EHLO client.example.org")
			if door == "submission" {
				if r := c.command("STARTTLS"); r[0] != '2' {
					t.Fatal(r)
				}
				conn := tls.Client(c.conn, &tls.Config{RootCAs: p.Pool(), ServerName: p.Host})
				c.conn, c.in = conn, bufio.NewReader(conn)
				c.command("EHLO client.example.org")
			}
			if r := c.command("AUTH PLAIN " + plain(&bound)); (r[0] == '2') != who.in {
				t.Errorf("%s, %s: %s", door, who.name, r)
			}
		}
	}
}

// TestProxyPanel: who fails to sign in does it from where their browser is.
func TestProxyPanel(t *testing.T) {
	p := balanced(t)
	c := through(t, p, "panel", "127.0.0.1", version1("198.51.100.7"))
	form := url.Values{"username": {p.Admin.Address}, "password": {"correct-horse-battery"}, "code": {"123456"}}.Encode()
	q, err := http.NewRequest(http.MethodPost, "https://"+p.Host+"/login", strings.NewReader(form))
	fatal(t, err)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	fatal(t, q.Write(c.conn))
	a, err := http.ReadResponse(c.in, q)
	fatal(t, err)
	a.Body.Close()
	refused := events(t, p, audit.PersonRefused)
	if len(refused) != 1 || refused[0].Actor.Network != netip.MustParseAddr("198.51.100.7") {
		t.Errorf("status %d, %d events: %+v", a.StatusCode, len(refused), refused)
	}
}

// TestProxyListeners: where only some doors are named, others are open to the balancer's
// network as to any.
func TestProxyListeners(t *testing.T) {
	p := balanced(t, "smtp")
	if err := served(through(t, p, "smtp", "127.0.0.1", ""), "smtp"); err == nil {
		t.Error("port 25 is served without a header") // it waits for one, and ends
	}
	if err := served(through(t, p, "imaps", "127.0.0.1", ""), "imaps"); err != nil {
		t.Error(err)
	}
}
