package servertest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/server/servertest"
	"postern/storage/audit"
)

// TestBrowser_SetUp goes from an empty directory to an agent that reads its first mail, by the link that the server printed
// and five pages. What is secret is shown once; each step is an event of who did it.
func TestBrowser_SetUp(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) { setsUp(t, o, func(*servertest.Tab) {}) })
}

// TestBrowser_SetUpIsAccessible looks at every page that somebody sees on that way, those with a secret as well: axe-core
// finds nothing serious, and nothing sticks out of a window or of a phone.
func TestBrowser_SetUpIsAccessible(t *testing.T) {
	t.Parallel()
	setsUp(t, servertest.TabOptions{}, func(b *servertest.Tab) {
		for _, width := range []int{390, 1440} {
			b.Look(width, width == 1440)
			b.Accessible()
			b.Fits()
		}
	})
}

// setsUp sets a server up, and has every page looked at on the way.
func setsUp(t *testing.T, o servertest.TabOptions, look func(*servertest.Tab)) {
	p, printed := servertest.NewUnnamed(t, servertest.Options{})
	link := regexp.MustCompile(`https://\S+/setup/[0-9A-Z-]{14}`).FindString(printed)
	at, err := url.Parse(link)
	fatal(t, err)
	b := servertest.OpenTab(t, p, o)
	if link == "" || b.Origin != "https://"+at.Host {
		t.Fatalf("the panel is at %s, and this was printed:\n%s", b.Origin, printed)
	}
	b.Go("/login")
	b.See("This server is not set up yet.", "sudo postern setup-link")
	look(b)
	b.Go(at.Path)
	b.See("This link works once.", "The audit log will hold: The link by which this server is set up was used.")
	look(b)
	b.Follow("Set up this server")

	b.See("Name and address", "Who sets this server up set up this server, step name.")
	look(b)
	host, _, err := net.SplitHostPort(at.Host)
	fatal(t, err)
	b.Fill("Host name", p.Host)
	b.Fill("Addresses", host)
	b.Follow("Save and look")
	b.See("The server is " + p.Host + ".")
	if o.NoScripts {
		b.Follow("Look now")
	}
	b.See("Seen from the network", p.Host+" leads here", "Block lists were not asked")
	look(b)
	b.Follow("Go on to keys")

	b.See("Recovery key", "None yet")
	look(b)
	b.Follow("Make a recovery key")
	b.See("Shown once", "Write it down, or print it.")
	look(b)
	key := shownOnce(t, b, `^[0-9A-Z]{4}(-[0-9A-Z]{4}){8}$`)
	wrong := "0000"
	if strings.HasSuffix(key, wrong) {
		wrong = "1111"
	}
	b.Fill("Type the last four characters", wrong)
	b.Follow("I keep it")
	b.See("Not done.", "These are not its last four characters", "Not confirmed")
	b.NotSee(key)
	look(b)
	b.Fill("Type the last four characters", strings.ToLower(key[len(key)-4:]))
	b.Follow("I keep it")
	b.See("The recovery key is confirmed.")

	b.See("Administrator")
	look(b)
	b.Fill("E-mail address", "ada@elsewhere.test")
	b.Fill("Password", "correct horse battery staple")
	b.Follow("Make the account")
	b.See("Second factor", "Shown once", "Recovery codes")
	look(b)
	var secret string
	b.Eval(`document.querySelector("#totp").value`, &secret)
	code, err := totp.GenerateCode(secret, p.World.Clock.Now())
	fatal(t, err)
	b.Fill("Six-digit code", code)
	b.Follow("Go on")

	b.See("First domain", "ada@elsewhere.test added a domain.")
	look(b)
	b.Fill("Domain", "agents.alpha.test")
	b.Follow("Add the domain")
	b.See("agents.alpha.test is added.", "Record plan", p.Host)
	look(b)
	b.Follow("Go on to first agent")

	b.See("First agent", "ada@elsewhere.test created an inbox, an agent and a credential.")
	look(b)
	b.Fill("Name of the agent", "clerk")
	b.Fill("Inbox, before @agents.alpha.test", "billing")
	b.Follow("Make the agent")
	b.See("The token of clerk", "Shown once", "Password of billing@agents.alpha.test")
	look(b)
	token := shownToken(t, b)
	b.NotSee(token) // snippets do not hold it
	b.Follow("I have stored it")
	b.See("billing@agents.alpha.test", "Nothing yet.")
	b.Follow("Send a test message")
	sees := func(what string) {
		if o.NoScripts {
			b.Follow("Look again")
		}
		b.See(what)
	}
	eventually(t, func() bool { return len(events(t, p, audit.NoticeDelivered)) == 1 })
	sees("A message arrived.")
	c := imapBy(t, p, printed)
	c.want("OK", "LOGIN billing@agents.alpha.test "+token)
	c.want("OK", "SELECT INBOX")
	if mail := c.want("OK", "FETCH 1 BODY[]"); !bytes.Contains(mail, []byte("the way from this server to you works")) {
		t.Errorf("the first mail: %q", mail)
	}
	sees("The agent read a message.")
	b.See("The agent signed in.")
	look(b)
	b.Follow("Go on")

	b.See("Ready", "All five steps are done.", "ada@elsewhere.test ended the set-up of this server.")
	look(b)
	b.Follow("End the set-up")
	b.See("The set-up is done.")
	if path := b.Path(); path != "/" {
		t.Errorf("the end leads to %s", path)
	}
	isGone(t, b, token)
	isGone(t, b, key)

	for _, want := range []struct {
		verb audit.Verb
		n    int
		by   audit.ActorKind
	}{
		{audit.SetupLink, 1, audit.System}, {audit.SetupEnter, 1, audit.Founder}, {audit.SetupChange, 1, audit.Founder}, {audit.KeyRecovery, 2, audit.Founder},
		{audit.PersonCreate, 1, audit.Founder}, {audit.DomainAdd, 1, audit.Person}, {audit.InboxCreate, 1, audit.Person}, {audit.AgentCreate, 1, audit.Person},
		{audit.CredentialCreate, 1, audit.Person}, {audit.NoticeDelivered, 1, audit.Person}, {audit.MessageRead, 1, audit.Agent}, {audit.SetupFinish, 1, audit.Person},
	} {
		all := events(t, p, want.verb)
		if len(all) != want.n {
			t.Errorf("%d events %s, want %d", len(all), want.verb, want.n)
		}
		for _, e := range all {
			if e.Actor.Kind != want.by || e.Outcome != audit.OK {
				t.Errorf("%s is by %+v: %v", want.verb, e.Actor, e.Outcome)
			}
		}
	}
}

// shownOnce is a secret that a page shows when it is asked to.
func shownOnce(t *testing.T, b *servertest.Tab, pattern string) (secret string) {
	t.Helper()
	b.Click("#show")
	b.Until(`document.querySelector("#clear").checkVisibility()`)
	b.Eval(`document.querySelector("#clear").value`, &secret)
	if !regexp.MustCompile(pattern).MatchString(secret) {
		t.Fatalf("no secret: %q", secret)
	}
	return secret
}

// imapBy is a session of IMAP of a program that was told to trust the certificate whose SHA-256 was printed.
func imapBy(t *testing.T, p *servertest.Postern, printed string) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", p.Addr("imaps").String(), &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		if sum := fmt.Sprintf("%X", sha256.Sum256(s.PeerCertificates[0].Raw)); !strings.Contains(strings.ReplaceAll(printed, ":", ""), sum) {
			return fmt.Errorf("the certificate is %s", sum)
		}
		return nil
	}})
	fatal(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c := &peer{t, conn, bufio.NewReaderSize(conn, 64<<10)}
	c.line()
	return c
}
