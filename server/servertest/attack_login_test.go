package servertest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// TestAC12_Guessing: a network that guesses is slowed down, at both doors together; who
// logged in before comes in even from there, and everybody from elsewhere.
func TestAC12_Guessing(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	from := fresh()
	known := dialFrom(t, p, "imaps", from)
	known.line()
	known.want("OK", "LOGIN scout@alpha.test "+p.Agents["scout"].Token)
	slowed := 0
	for range 10 {
		c := dialFrom(t, p, "imaps", from)
		c.line()
		for range 4 {
			if got, _ := c.ask("LOGIN clerk@alpha.test " + directory.NewToken(storage.Live).Secret()); got == "NO [UNAVAILABLE" {
				slowed++
			}
		}
		c.conn.Close()
	}
	if slowed < 15 || slowed > 25 {
		t.Errorf("of 40 guesses, %d were put off", slowed)
	}
	c := dialFrom(t, p, "submissions", from)
	c.reply()
	c.command("EHLO client.test")
	if r := c.command("AUTH PLAIN " + plain(p.Agents["clerk"])); !strings.HasPrefix(r, "454 4.7.0 ") {
		t.Errorf("a token that was never seen, from the network that guesses: %s", r)
	}
	if r := c.command("AUTH PLAIN " + plain(p.Agents["scout"])); r[:3] != "235" {
		t.Errorf("one that logged in before: %s", r)
	}
	elsewhere := dialFrom(t, p, "imaps", fresh())
	elsewhere.line()
	elsewhere.want("OK", "LOGIN clerk@alpha.test "+p.Agents["clerk"].Token)
}

// TestAC5_Dictionary: who asks port 25 for many inboxes that are not there is slowed
// down, and then turned away; mail from elsewhere comes in.
func TestAC5_Dictionary(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	from, found := fresh(), 0
	began := time.Now()
	for range 4 {
		c := dialFrom(t, p, "smtp", from)
		if c.reply()[:3] == "421" {
			break
		}
		c.command("EHLO sender.test")
		c.command("MAIL FROM:<ada@sender.test>")
		for c.command(fmt.Sprintf("RCPT TO:<guess%d@alpha.test>", found))[:3] == "550" {
			found++
			if found == 55 { // it would go on like that for minutes
				break
			}
		}
		c.conn.Close()
		if found == 55 {
			break
		}
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("%d names were refused in %v: nothing slows them down", found, took)
	}
	if r := smtp(t, p).send("scout@alpha.test", note("meanwhile")); r[:3] != "250" {
		t.Error(r)
	}
}

// TestAC10_BeforeTLS: in the clear no secret is taken, and what came in the clear does
// not count behind STARTTLS.
func TestAC10_BeforeTLS(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	c := dial(t, p, "submission")
	c.reply()
	c.say("EHLO client.test")
	for _, line := range c.replies() {
		if strings.Contains(line, "AUTH") {
			t.Errorf("offered in the clear: %s", line)
		}
	}
	for command, want := range map[string]string{"AUTH PLAIN " + plain(p.Agents["scout"]): "538 5.7.11 ", "AUTH LOGIN": "538 5.7.11 ", "MAIL FROM:<scout@alpha.test>": "530 5.7.0 "} {
		if r := c.command(command); !strings.HasPrefix(r, want) {
			t.Errorf("%s: %s", command, r)
		}
	}
	c.say("STARTTLS\r\nEHLO evil.test\r\nAUTH PLAIN " + plain(p.Agents["scout"]))
	if r := c.reply(); r[:3] != "554" {
		t.Errorf("commands behind STARTTLS: %s", r)
	}
	c = dial(t, p, "submission")
	c.reply()
	c.command("EHLO client.test")
	c.command("STARTTLS")
	c.secure(p)
	if r := c.command("AUTH PLAIN " + plain(p.Agents["scout"])); !strings.HasPrefix(r, "503 5.5.1 ") {
		t.Errorf("an EHLO from before TLS counts: %s", r)
	}
	plainly := connect(t, p, "imaps", net.IPv4(127, 0, 0, 1))
	fmt.Fprintf(plainly, "a LOGIN scout@alpha.test %s\r\n", p.Agents["scout"].Token)
	data := make([]byte, 100)
	if n, _ := plainly.Read(data); bytes.Contains(data[:n], []byte("OK")) {
		t.Errorf("IMAP in the clear: %q", data[:n])
	}
	if n := len(events(t, p, audit.SessionLogin)); n > 0 {
		t.Errorf("%d logins", n)
	}
}

// secure makes the handshake of STARTTLS.
func (p *peer) secure(s *servertest.Postern) {
	p.conn = tls.Client(p.conn, &tls.Config{RootCAs: s.Pool(), ServerName: s.Host})
	p.in.Reset(p.conn)
}

// TestAC6_Dump: nothing of what lies in the data directory, in any form in which it
// could be said, logs anybody in.
func TestAC6_Dump(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := lab(t, dir, "scout")
	imap(t, p, p.Agents["scout"])
	token := p.Agents["scout"].Token
	fatal(t, filepath.WalkDir(filepath.Join(dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, form := range [][]byte{[]byte(token), []byte(token[9:41]), []byte(base64.StdEncoding.EncodeToString([]byte(token)))} {
			if bytes.Contains(data, form) {
				t.Errorf("%s has the token in form %d", d.Name(), i)
			}
		}
		return nil
	}))
	var hash, sealed []byte
	var public string
	fatal(t, foreign(t, dir).QueryRow("SELECT token_hash, public_id, sealed FROM credential").Scan(&hash, &public, &sealed))
	for _, guess := range []string{hex.EncodeToString(hash), base64.StdEncoding.EncodeToString(hash), public, "pst_live_" + public, "pst_live_" + hex.EncodeToString(hash),
		"pst_live_" + base64.RawURLEncoding.EncodeToString(hash), base64.StdEncoding.EncodeToString(sealed)[:200]} {
		c := dialFrom(t, p, "imaps", fresh())
		c.line()
		c.want("NO [AUTHENTICATIONFAILED", fmt.Sprintf("LOGIN scout@alpha.test %q", guess))
		c.conn.Close()
	}
}

// TestAC9_Replay: a token that was revoked opens nothing by any mechanism, also when it
// was known before, and each try of it is on record.
func TestAC9_Replay(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	a := p.Agents["scout"]
	imap(t, p, a)
	_, err := p.Server().Directory().RevokeCredential(t.Context(), storage.System, p.Org.ID, a.Credential.ID, "test")
	fatal(t, err)
	tries := [][]string{{"PLAIN", "\x00" + a.Address + "\x00" + a.Token}, {"LOGIN", a.Address, a.Token},
		{"OAUTHBEARER", "n,a=" + a.Address + ",\x01auth=Bearer " + a.Token + "\x01\x01", "\x01"}, {"XOAUTH2", "user=" + a.Address + "\x01auth=Bearer " + a.Token + "\x01\x01", ""}}
	for _, try := range tries {
		c := dialFrom(t, p, "submissions", fresh())
		c.reply()
		c.command("EHLO client.test")
		r := c.command("AUTH " + try[0])
		for _, answer := range try[1:] {
			r = c.command(base64.StdEncoding.EncodeToString([]byte(answer)))
		}
		if !strings.HasPrefix(r, "535 5.7.8 authentication failed (") {
			t.Errorf("%s: %s", try[0], r)
		}
	}
	if n := len(events(t, p, audit.SessionRefused)); n != len(tries) {
		t.Errorf("%d of %d tries are on record", n, len(tries))
	}
}

// TestAC10_WrongMechanism: a token in the form of another mechanism than the one that
// was named logs nobody in.
func TestAC10_WrongMechanism(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	a := p.Agents["scout"]
	forms := map[string]string{
		"PLAIN": "\x00" + a.Address + "\x00" + a.Token, "OAUTHBEARER": "n,a=" + a.Address + ",\x01auth=Bearer " + a.Token + "\x01\x01",
		"XOAUTH2": "user=" + a.Address + "\x01auth=Bearer " + a.Token + "\x01\x01", "token": a.Token, "two": "\x00" + a.Address + "\x00" + a.Token + "\x00",
		"basic": "n,a=" + a.Address + ",\x01auth=Basic " + a.Token + "\x01\x01", "twice": "n,,\x01auth=Bearer x\x01auth=Bearer " + a.Token + "\x01\x01",
	}
	for mechanism := range map[string]bool{"PLAIN": true, "OAUTHBEARER": true, "XOAUTH2": true} {
		for form, text := range forms {
			if form == mechanism {
				continue
			}
			c := dialFrom(t, p, "submissions", fresh())
			c.reply()
			c.command("EHLO client.test")
			r := c.command("AUTH " + mechanism + " " + base64.StdEncoding.EncodeToString([]byte(text)))
			if r[:3] == "334" {
				r = c.command("AQ==")
			}
			if r[0] != '5' {
				t.Errorf("the form of %s as %s: %s", form, mechanism, r)
			}
			c.conn.Close()
		}
	}
	if n := len(events(t, p, audit.SessionLogin)); n > 0 {
		t.Errorf("%d logins", n)
	}
}

// TestAU13_Flood: a flood of refusals from very many networks leaves a bounded number of
// events, whose counts are of all.
func TestAU13_Flood(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	sent := 0
	for range 150 {
		c := dialFrom(t, p, "smtp", fresh())
		c.reply()
		c.command("EHLO sender.test")
		for _, command := range []string{"AUTH PLAIN AAAA", "EXPN scout", "XYZZY", "MAIL FROM:<x", "RCPT TO:<scout@alpha.test>", "DATA x"} {
			if r := c.command(command); r[0] != '5' {
				t.Fatalf("%s: %s", command, r)
			}
			sent++
		}
		c.conn.Close()
	}
	if err := p.Down(); err != nil { // which writes what waits
		t.Fatal(err)
	}
	fatal(t, p.Up())
	counted, written := int64(0), events(t, p, audit.StrangersRefused)
	for i := range written {
		n, _ := written[i].Fields.Int(audit.KeyCount)
		counted += n
	}
	if counted < int64(sent) || len(written) > 200 {
		t.Errorf("%d refusals are %d events that count %d", sent, len(written), counted)
	}
}
