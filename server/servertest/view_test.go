package servertest_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	library "github.com/emersion/go-msgauth/dkim"

	"postern/dkim"
	commands "postern/server/control"
	"postern/server/message"
	"postern/server/servertest"
	"postern/storage"
)

// hiddenMail are messages in each of which something stands hidden, signed by their sender.
func hiddenMail(t *testing.T) (all []string, key *dkim.Key) {
	t.Helper()
	names, err := filepath.Glob("../rendition/testdata/hidden/*.eml")
	if err != nil || len(names) < 80 {
		t.Fatalf("%d cases: %v", len(names), err)
	}
	key, err = dkim.GenerateKey(dkim.Ed25519)
	fatal(t, err)
	signer, err := dkim.NewSigner("sender.test", dkim.Selected{Selector: "s", Key: key})
	fatal(t, err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		fatal(t, err)
		mail := strings.ReplaceAll(string(b), "\n", "\r\n")
		signature, err := signer.Sign(strings.NewReader(mail), int64(len(mail)))
		fatal(t, err)
		all = append(all, string(signature)+mail)
	}
	return all, key
}

// TestCO6_NothingHiddenReachesTheSafeView sends what is hidden in every way to an inbox that two
// credentials read. The one with the safe view asks for everything by every command, and no
// answer has any of it; the other gets the bytes that were sent, and their signature holds.
func TestCO6_NothingHiddenReachesTheSafeView(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	a := p.Agents["scout"]
	sent, key := hiddenMail(t)
	half := len(sent) / 2
	deliver(t, p, a, sent[:half]) // older than the credential: rendered when it asks
	safe := safeCredential(t, p, a)
	deliver(t, p, a, sent[half:])
	appended := "From: scout@alpha.test\r\nSubject: mine\r\nX-Note: PLANTED-3141\r\n\r\nIn plain sight\r\n"
	s := imap(t, p, safe)
	s.want("OK", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(appended), appended))
	askEverything(t, s, len(sent)+1)

	o := imap(t, p, a)
	o.want("OK", "EXAMINE INBOX")
	lookup := func(string) ([]string, error) { return []string{key.Record()}, nil }
	for i, m := range sent {
		body := literalOf(t, o.want("OK", fmt.Sprintf("FETCH %d BODY.PEEK[]", i+1)))
		if !strings.HasSuffix(body, m) {
			t.Errorf("message %d is not what was sent: %s", i+1, body)
			continue
		}
		v, err := library.VerifyWithOptions(strings.NewReader(body), &library.VerifyOptions{LookupTXT: lookup})
		if err != nil || len(v) == 0 || v[0].Err != nil { // the first: one has another that was never good
			t.Errorf("the signature of message %d: %v %+v", i+1, err, v)
		}
	}
	if found := o.want("OK", "SEARCH TEXT PLANTED"); len(strings.Fields(string(found))) < 20 {
		t.Errorf("the original view finds %s", found)
	}
}

// deliver sends messages on one connection, of which an address has only so many.
func deliver(t *testing.T, p *servertest.Postern, a *servertest.Agent, mails []string) {
	t.Helper()
	c := smtp(t, p)
	for _, mail := range mails {
		if r := c.send(a.Address, mail); r[0] != '2' {
			t.Fatal(r)
		}
	}
}

// safeCredential is an agent with another credential, that has the safe view.
func safeCredential(t *testing.T, p *servertest.Postern, a *servertest.Agent) *servertest.Agent {
	t.Helper()
	client := commands.NewClient(p.ControlSocket())
	t.Cleanup(client.Close)
	issued, err := client.CreateCredential(t.Context(), commands.CredentialCreate{Agent: a.Name, View: storage.ViewSafe,
		Scopes: []commands.Scope{{Inbox: a.Address, Verbs: "read,flag,append,delete"}}})
	fatal(t, err)
	safe := *a
	safe.Token = issued.Secret
	return &safe
}

// askEverything says every command that shows something of n messages.
func askEverything(t *testing.T, s *peer, n int) {
	hear := func(command string) string {
		t.Helper()
		data := string(s.want("OK", command))
		if strings.Contains(data, "PLANTED") {
			t.Errorf("%s: %s", command, data)
		}
		return data
	}
	hear(`LIST "" * RETURN (STATUS (MESSAGES SIZE UNSEEN))`)
	status := hear("STATUS INBOX (SIZE)")
	hear("SELECT INBOX")
	for _, key := range []string{"TEXT", "BODY", "SUBJECT", "FROM", "TO", "CC", "BCC", "HEADER X-Note", "HEADER Comments", "HEADER Received", "HEADER Content-Type", "HEADER Content-Description", "HEADER DKIM-Signature"} {
		if found := hear("SEARCH " + key + " PLANTED"); strings.TrimSpace(found) != "* SEARCH" {
			t.Errorf("%s finds %s", key, found)
		}
	}
	if found := hear("SEARCH HEADER DKIM-Signature \"\""); strings.TrimSpace(found) != "* SEARCH" {
		t.Errorf("a signature of other bytes: %s", found)
	}
	hear("UID SEARCH RETURN (ALL COUNT) OR LARGER 1 SMALLER 100000")
	for _, item := range []string{"ALL", "FULL", "FAST", "ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822", "RFC822.HEADER", "RFC822.TEXT", "BODY[]", "BODY.PEEK[HEADER]",
		"BODY.PEEK[HEADER.FIELDS (SUBJECT X-Note Received Comments)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]", "BODY.PEEK[TEXT]", "BODY.PEEK[1]", "BODY.PEEK[1.MIME]",
		"BODY.PEEK[2]", "BODY.PEEK[2.MIME]", "BODY.PEEK[2.HEADER]", "BODY.PEEK[2.TEXT]", "BODY.PEEK[2.1]", "BODY.PEEK[2.1.MIME]", "BODY.PEEK[3]", "BINARY.PEEK[1]", "BINARY.PEEK[2]",
		"BINARY.PEEK[3]", "BINARY.PEEK[2.1]", "BINARY.SIZE[2]", "BODY.PEEK[]<0.100000>", "BODY.PEEK[]<700.100000>", "BODY.PEEK[TEXT]<10.5000>", "BINARY.PEEK[1]<3.1000>"} {
		if s.ask("FETCH 1:* " + item); item == "RFC822" {
			continue // whose answer the next one repeats
		}
		result, data := s.ask("UID FETCH 1:* (" + item + ")")
		if strings.Contains(string(data), "PLANTED") || !strings.HasPrefix(result, "OK") && !strings.HasPrefix(result, "NO UNKNOWN-CTE") && item != "FAST" && item != "ALL" && item != "FULL" {
			t.Errorf("%s: %s %s", item, result, data)
		}
	}
	sum, first := int64(0), map[int]string{}
	for i := range n {
		data := hear(fmt.Sprintf("FETCH %d (RFC822.SIZE BODY.PEEK[])", i+1))
		body := literalOf(t, []byte(data))
		assertNothingInside(t, body)
		size := int64(len(body))
		if !strings.Contains(data, fmt.Sprintf("RFC822.SIZE %d ", size)) {
			t.Errorf("message %d has %d bytes: %.100s", i+1, size, data)
		}
		if found := hear(fmt.Sprintf("SEARCH %d LARGER %d SMALLER %d", i+1, size-1, size+1)); !strings.Contains(found, fmt.Sprint(" ", i+1)) {
			t.Errorf("the size of message %d is told otherwise by SEARCH", i+1)
		}
		sum += size
		first[i] = body
	}
	if !strings.Contains(status, fmt.Sprintf("(SIZE %d)", sum)) {
		t.Errorf("%d bytes, and %s", sum, status)
	}
	hear("COPY 1:* Archive")
	hear("EXAMINE Archive")
	for i := range n {
		if body := literalOf(t, []byte(hear(fmt.Sprintf("FETCH %d BODY[]", i+1)))); body != first[i] {
			t.Errorf("the copy of message %d shows something else", i+1)
		}
	}
}

// announced is what stands before a literal.
var announced = regexp.MustCompile(`\{(\d+)\}\r\n`)

// literalOf is the one literal of a response.
func literalOf(t *testing.T, data []byte) string {
	t.Helper()
	at := announced.FindSubmatchIndex(data)
	if at == nil {
		t.Fatalf("no literal in %q", data)
	}
	var n int
	fmt.Sscan(string(data[at[2]:at[3]]), &n)
	return string(data[at[1] : at[1]+n])
}

// assertNothingInside looks into a message without its encodings.
func assertNothingInside(t *testing.T, body string) {
	t.Helper()
	r := strings.NewReader(body)
	s := message.Parse(r, r.Size())
	var look func(p *message.Part)
	look = func(p *message.Part) {
		text := message.DecodeWords(body[p.Header.Start:p.Header.End])
		if !p.IsMultipart() && p.Message == nil {
			b, err := io.ReadAll(message.TextReader(r, p))
			fatal(t, err)
			text += string(b)
		}
		if strings.Contains(text, "PLANTED") || bytes.ContainsAny([]byte(text), "\u200b\ufe01") || strings.ContainsFunc(text, func(r rune) bool { return r >= 0xE0000 }) {
			t.Errorf("inside: %s", text)
		}
		for i := range p.Children {
			look(&p.Children[i])
		}
		if p.Message != nil {
			look(&p.Message.Root)
		}
	}
	look(&s.Root)
}
