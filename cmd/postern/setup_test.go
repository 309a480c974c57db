package main_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/pquerna/otp/totp"

	"postern/dns/nameserver"
)

// fresh is a server that nobody has set up, in a process of its own, and somebody with
// a browser who reads what it prints.
type fresh struct {
	t    *testing.T
	dir  string
	base string // port base of its doors
	cmd  *exec.Cmd
	said *output
	http *http.Client
	seen string // SHA-256 of the certificate that the browser was shown
}

// output keeps what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// newFresh makes an empty installation in a world of its own: a DNS that knows its name,
// and a mail server of example.org that answers.
func newFresh(t *testing.T) *fresh {
	f := &fresh{t: t, dir: t.TempDir()}
	names := nameserver.New()
	for _, z := range []nameserver.Zone{
		{Origin: ".", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
			{Name: "mail.example.com", Type: nameserver.A, Data: "127.0.0.1"}, {Name: "ns.test", Type: nameserver.A, Data: "127.0.0.1"},
			{Name: "example.org", Type: nameserver.MX, Data: "10 mx.example.org"}, {Name: "mx.example.org", Type: nameserver.A, Data: "127.0.0.1"}}},
		{Origin: "127.in-addr.arpa", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
			{Name: "1.0.0.127.in-addr.arpa", Type: nameserver.PTR, Data: "mail.example.com"}}},
	} {
		f.must(names.SetZone(z))
	}
	f.must(names.Start("127.0.0.1:0"))
	t.Cleanup(func() { names.Stop(t.Context()) })
	other, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	t.Cleanup(func() { other.Close() })
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "220 mx.example.org ESMTP\r\n")
			c.Close()
		}
	}()
	base := freeBase(t)
	f.base = strconv.Itoa(base)
	config := fmt.Sprintf(`data = %q
control = %q
[keys]
root = %q
[listen]
smtp = "127.0.0.1:%d"
submission = "127.0.0.1:%d"
submissions = "127.0.0.1:%d"
imaps = "127.0.0.1:%d"
panel = "127.0.0.1:%d"
[relay]
port = %d
[dns]
servers = [%q]
check = false
`, f.path("data"), f.path("c.sock"), f.path("root.key"), base+25, base+587, base+465, base+993, base+443, other.Addr().(*net.TCPAddr).Port, names.Addr())
	f.must(os.WriteFile(f.path("postern.toml"), []byte(config), 0o600))
	f.run("key", "init", "--config", f.path("postern.toml"))
	jar, err := cookiejar.New(nil)
	f.must(err)
	f.http = &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			f.seen = fmt.Sprintf("%X", sha256.Sum256(s.PeerCertificates[0].Raw)) // as a person compares it
			return nil
		}}}}
	f.start()
	return f
}

func (f *fresh) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fresh) path(name string) string { return filepath.Join(f.dir, name) }

// run runs a command and returns what it printed.
func (f *fresh) run(args ...string) string {
	f.t.Helper()
	cmd := exec.Command(binary(f.t, ""), append(args, "--session", "none")...)
	cmd.Env = append(os.Environ(), "POSTERN_CONTROL="+f.path("c.sock"), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts the server and waits until the panel answers.
func (f *fresh) start() {
	f.t.Helper()
	f.said = &output{}
	f.cmd = exec.Command(binary(f.t, ""), "serve", "--config", f.path("postern.toml"))
	f.cmd.Stdout, f.cmd.Stderr = f.said, f.said
	f.must(f.cmd.Start())
	f.t.Cleanup(f.kill)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if r, err := f.http.Get(f.url("/login")); err == nil {
			r.Body.Close()
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("it does not start:\n%s", f.said)
		}
	}
}

// kill ends the server as a power cut would.
func (f *fresh) kill() {
	f.cmd.Process.Kill()
	f.cmd.Wait()
	f.http.CloseIdleConnections()
}

func (f *fresh) url(path string) string { return "https://127.0.0.1:" + f.port(443) + path }

func (f *fresh) port(standard int) string {
	base, _ := strconv.Atoi(f.base)
	return strconv.Itoa(base + standard)
}

// link is the path of the link that was printed last.
func (f *fresh) link() string {
	f.t.Helper()
	found := regexp.MustCompile(`/setup/[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}`)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if path := found.FindString(f.said.String()); path != "" {
			return path
		}
		if time.Now().After(end) {
			f.t.Fatalf("no link was printed:\n%s", f.said)
		}
	}
}

func (f *fresh) do(method, path string, form ...string) (status int, location, text string) {
	f.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	q, err := http.NewRequestWithContext(f.t.Context(), method, f.url(path), strings.NewReader(values.Encode()))
	f.must(err)
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	a, err := f.http.Do(q)
	f.must(err)
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	f.must(err)
	return a.StatusCode, a.Header.Get("Location"), string(b)
}

// see gets a page that must say all of the texts.
func (f *fresh) see(path string, texts ...string) string {
	f.t.Helper()
	status, _, text := f.do(http.MethodGet, path)
	for _, want := range texts {
		if status != http.StatusOK || !strings.Contains(text, want) {
			f.t.Errorf("GET %s: %d without %q", path, status, want)
		}
	}
	return text
}

// send sends a form that leads on to a page.
func (f *fresh) send(path, to string, form ...string) {
	f.t.Helper()
	status, location, text := f.do(http.MethodPost, path, form...)
	if status != http.StatusSeeOther || location != to {
		f.t.Fatalf("POST %s: %d to %q, want %q\n%s", path, status, location, to, text)
	}
}

// shown sends a form whose answer has something that is shown once.
func (f *fresh) shown(path, pattern string, form ...string) string {
	f.t.Helper()
	status, _, text := f.do(http.MethodPost, path, form...)
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if status != http.StatusOK || found == nil {
		f.t.Fatalf("POST %s: %d without %s\n%s", path, status, pattern, text)
	}
	return found[len(found)-1]
}

// verbs counts the events of the log by verb.
func (f *fresh) verbs() map[string]int {
	f.t.Helper()
	count := map[string]int{}
	for _, verb := range regexp.MustCompile(`"verb":"([a-z.]+)"`).FindAllStringSubmatch(f.run("audit", "list", "-o", "jsonl"), -1) {
		count[verb[1]]++
	}
	return count
}

// TestSetup goes from nothing to an agent that has read its first mail, with forms alone,
// and with the server killed between the steps: the browser goes on where it was.
func TestSetup(t *testing.T) {
	f := newFresh(t)
	link := f.link()
	if c, err := net.Dial("tcp", "127.0.0.1:"+f.port(25)); err == nil {
		c.Close()
		t.Error("port 25 is open before anybody set the server up")
	}
	if printed := strings.ReplaceAll(f.said.String(), ":", ""); !strings.Contains(printed, f.seen) {
		t.Errorf("the certificate is %s, and another was printed:\n%s", f.seen, f.said)
	}
	certificate := f.seen
	if kept, err := os.ReadFile(f.path("setup-link")); err != nil || !strings.HasSuffix(strings.TrimSpace(string(kept)), link) {
		t.Errorf("the link's file: %q, %v", kept, err)
	}
	if info, err := os.Stat(f.path("setup-link")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the link's file: %v, %v", info, err)
	}
	f.see("/login", "not set up yet")
	f.see(link, "Set up this server") // looking uses nothing up
	f.send(link, "/setup")
	if _, err := os.Stat(f.path("setup-link")); err == nil {
		t.Error("a link that was used is still in its file")
	}
	if status, _, text := f.do(http.MethodPost, link); status != http.StatusForbidden || !strings.Contains(text, "leads nowhere") {
		t.Errorf("the same link again: %d", status)
	}

	f.kill()
	f.start()
	f.see("/setup/name", "Host name", "Nobody has an account yet")
	f.send("/setup/name", "/setup/name#checks", "host", "mail.example.com", "addresses", "127.0.0.1", "certificates", "later", "try", "yes", "probe", "example.org")
	f.send("/setup/check", "/setup/name#checks")
	f.see("/setup/name", "leads here", "lead back to the name", "220 mx.example.org", "Block lists were not asked")

	key := f.shown("/setup/keys", `([0-9A-Z]{4}(?:-[0-9A-Z]{4}){8})`)
	if status, _, _ := f.do(http.MethodPost, "/setup/keys/confirm", "last", "UUUU"); status != http.StatusUnprocessableEntity {
		t.Errorf("other characters: %d", status)
	}
	f.send("/setup/keys/confirm", "/setup", "last", strings.ToLower(key[len(key)-4:]))

	f.kill()
	f.start()
	secret := f.shown("/setup/admin", `id="totp"[^>]* value="([A-Z2-7]+)"`, "username", "ada@example.org", "password", "correct-horse-battery")
	code, err := totp.GenerateCode(secret, time.Now())
	f.must(err)
	f.send("/setup/admin/code", "/setup", "code", code)
	if status, _, _ := f.do(http.MethodPost, link); status != http.StatusForbidden {
		t.Errorf("the link when somebody has an account: %d", status)
	}
	f.send("/setup/domain", "/setup/domain", "name", "agents.example.com")
	f.see("/setup/domain", "mail.example.com", "_domainkey")

	f.kill()
	f.start()
	if f.seen != certificate {
		t.Error("the certificate that a person compared is another one after a restart")
	}
	token := f.shown("/setup/agent", `(pst_live_[0-9A-Za-z]{38})`, "name", "scout", "local", "scout", "domain", "agents.example.com", "owner", "ada@example.org")
	f.send("/setup/agent/greet", "/setup/agent", "inbox", "scout@agents.example.com")
	f.see("/setup/agent", "A message arrived")
	f.readFirst(token)
	f.see("/setup/agent", "The agent signed in", "The agent read a message")
	f.send("/setup/finish", "/")
	f.see("/setup/done", "To the panel")
	verbs := f.verbs()
	for verb, n := range map[string]int{"setup.enter": 1, "setup.change": 1, "setup.finish": 1, "key.recovery": 2, "person.create": 1, "domain.add": 1, "agent.create": 1, "credential.create": 1, "notice.delivered": 1, "message.read": 1} {
		if verbs[verb] != n {
			t.Errorf("%d events %s, want %d", verbs[verb], verb, n)
		}
	}
}

// readFirst reads the first message as an agent does.
func (f *fresh) readFirst(token string) {
	f.t.Helper()
	c, err := imapclient.DialTLS("127.0.0.1:"+f.port(993), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	f.must(err)
	defer c.Close()
	f.must(c.Login("scout@agents.example.com", token).Wait())
	_, err = c.Select("INBOX", nil).Wait()
	f.must(err)
	got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	f.must(err)
	if len(got) != 1 || !bytes.Contains(got[0].BodySection[0].Bytes, []byte("the way from this server to you works")) {
		f.t.Errorf("%d messages", len(got))
	}
}

// TestSetup_SkipAll: who puts everything off ends with a server that has no name, whose
// doors are closed, and whose session is over.
func TestSetup_SkipAll(t *testing.T) {
	f := newFresh(t)
	f.send(f.link(), "/setup")
	for _, step := range []string{"name", "keys", "admin", "domain", "agent"} {
		f.send("/setup/skip", "/setup", "step", step)
	}
	f.see("/setup/done", "For later", "Closed")
	if status, _, text := f.do(http.MethodPost, "/setup/finish"); status != http.StatusOK || !strings.Contains(text, "postern admin create") {
		t.Errorf("the end: %d %s", status, text)
	}
	if status, location, _ := f.do(http.MethodGet, "/setup/name"); status != http.StatusSeeOther || !strings.HasPrefix(location, "/login") {
		t.Errorf("afterwards: %d to %q", status, location)
	}
	if out := f.run("setup", "-o", "json"); !strings.Contains(out, `"state": "skipped"`) || strings.Contains(out, `"open": true`) {
		t.Errorf("%s", out)
	}
}

// TestAC12_SetupLink: a link that is wrong, one that another took the place of and one
// that was used are told alike, and who guesses on is not even asked.
func TestAC12_SetupLink(t *testing.T) {
	f := newFresh(t)
	old := f.link()
	made := f.run("setup-link", "-o", "json")
	fresh := regexp.MustCompile(`/setup/[0-9A-Z-]{14}`).FindString(made)
	_, _, replaced := f.do(http.MethodPost, old)
	_, _, wrong := f.do(http.MethodPost, "/setup/0000-0000-0000")
	f.send(strings.ToLower(strings.ReplaceAll(fresh, "-", "")), "/setup") // as somebody types it
	_, _, used := f.do(http.MethodPost, fresh)
	if replaced != wrong || wrong != used || !strings.Contains(used, "leads nowhere") {
		t.Error("they are told apart")
	}
	again := regexp.MustCompile(`/setup/[0-9A-Z-]{14}`).FindString(f.run("setup-link", "-o", "json"))
	for range 40 {
		if status, _, text := f.do(http.MethodPost, "/setup/0000-0000-0001"); status != http.StatusForbidden || text != wrong {
			t.Fatalf("a guess: %d", status)
		}
	}
	if status, _, text := f.do(http.MethodPost, again); status != http.StatusForbidden || text != wrong {
		t.Errorf("the right link from the network of the guesser: %d", status)
	}
}
