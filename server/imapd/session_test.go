package imapd

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// TestSessions plays testdata/*.txtar, each a promise told as a dialogue of one or several clients with a real server
// over TLS. The comment of the archive is the script, its files are messages; ends of lines are CR LF there.
//
//	agent NAME VERBS     makes an agent with these rights on support@ (scout has all)
//	open C [NAME]        connects client C and logs in
//	connect C            connects client C
//	C> TEXT              client C sends a line; $TOKEN is scout's, ${NAME} that of an agent,
//	                     $BEARER, $XOAUTH2 and others scout's in the form of a mechanism
//	C< PATTERN           client C gets a line; "…" stands for anything
//	C<* PATTERN          the same, after any number of other lines
//	C<0                  client C gets nothing: the next thing it would get is the reply to a NOOP
//	C.                   the server closes the connection of C
//	append C BOX FILE    client C appends a file
//	deliver FILE         a message comes in from outside
//	deposit ROLE FILE    … or is put where no client can put it; "held" with $Held in the outbox
//	revoke NAME          an administrator revokes the agent's credential
//	events VERB N [TEXT] so many events of the verb have been written since the last asking; the last one's fields have TEXT
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	check(t, err)
	if len(files) == 0 {
		t.Fatal("no conversations")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			check(t, err)
			p := &play{t: t, home: newHome(t, nil), files: map[string]string{}, clients: map[string]*client{}, seen: map[audit.Verb]int{}}
			for _, f := range archive.Files {
				p.files[f.Name] = strings.ReplaceAll(string(f.Data), "\n", "\r\n")
			}
			for i, line := range strings.Split(string(archive.Comment), "\n") {
				p.at = fmt.Sprintf("%s:%d: %s", file, i+1, line)
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					p.run(line)
				}
			}
		})
	}
}

// play is one conversation.
type play struct {
	t       *testing.T
	at      string
	home    *home
	files   map[string]string
	clients map[string]*client
	seen    map[audit.Verb]int
}

func (p *play) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s\n%s", p.at, fmt.Sprintf(format, args...))
}

func (p *play) run(line string) {
	p.t.Helper()
	word, arg, _ := strings.Cut(line, " ")
	words := map[string]func([]string){
		"agent": p.agent, "open": p.open, "connect": p.connect, "append": p.append, "deliver": p.deliver,
		"deposit": p.deposit, "revoke": p.revoke, "events": p.events,
	}
	if f := words[word]; f != nil {
		f(strings.Fields(arg))
		return
	}
	i := strings.IndexAny(word, "<>.")
	if i < 1 || p.clients[word[:i]] == nil {
		p.fail("unknown word %q", word)
	}
	p.speak(p.clients[word[:i]], word[i:], arg)
}

// speak does one line of a client.
func (p *play) speak(c *client, how, text string) {
	p.t.Helper()
	switch how {
	case ">":
		c.write(p.expand(text) + "\r\n")
	case "<":
		if got := p.hear(c); !alike(text, got) {
			p.fail("got  %s", got)
		}
	case "<*":
		var heard []string
		for {
			got := p.hear(c)
			if alike(text, got) {
				return
			}
			heard = append(heard, got)
			if len(heard) > 200 {
				p.fail("got %s", strings.Join(heard, "\n"))
			}
		}
	case "<0":
		c.write("quiet NOOP\r\n")
		if got := p.hear(c); got != "quiet OK NOOP completed" {
			p.fail("got  %s", got)
		}
	case ".":
		if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
			p.fail("want the end, got %q, %v", rest, err)
		}
	default:
		p.fail("unknown sign %q", how)
	}
}

func (p *play) hear(c *client) string {
	p.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := c.r.ReadString('\n')
	if err != nil {
		p.fail("heard %q, then %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (p *play) expand(text string) string {
	return os.Expand(text, func(name string) string {
		b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
		switch name {
		case "TOKEN":
			name = "scout"
		case "BEARER":
			return b64("n,a=" + supportAddress + ",\x01auth=Bearer " + p.home.tokens["scout"] + "\x01\x01")
		case "NAMELESS":
			return b64("n,,\x01auth=Bearer " + p.home.tokens["scout"] + "\x01\x01")
		case "WRONGBEARER":
			return b64("n,a=" + salesAddress + ",\x01auth=Bearer " + p.home.tokens["scout"] + "\x01\x01")
		case "XOAUTH2":
			return b64("user=" + supportAddress + "\x01auth=Bearer " + p.home.tokens["scout"] + "\x01\x01")
		case "WRONGXOAUTH2":
			return b64("user=" + salesAddress + "\x01auth=Bearer " + p.home.tokens["scout"] + "\x01\x01")
		}
		if token := p.home.tokens[name]; token != "" {
			return token
		}
		return "$" + name
	})
}

func (p *play) agent(args []string) {
	var verbs storage.Verbs
	if len(args) > 1 {
		var err error
		verbs, err = directory.ParseVerbs(args[1])
		check(p.t, err)
	}
	p.home.agent(p.t, args[0], verbs)
}

func (p *play) open(args []string) {
	args = append(args, "scout")
	p.clients[args[0]] = p.home.login(p.t, args[1])
}

func (p *play) connect(args []string) { p.clients[args[0]] = p.home.dial(p.t) }

func (p *play) file(name string) string {
	text, ok := p.files[name]
	if !ok {
		p.fail("no file %q", name)
	}
	return text
}

func (p *play) append(args []string) {
	text := p.file(args[2])
	p.clients[args[0]].write(fmt.Sprintf("p APPEND %s {%d}\r\n", args[1], len(text)))
	p.speak(p.clients[args[0]], "<", "+ …")
	p.clients[args[0]].write(text + "\r\n")
}

func (p *play) deliver(args []string) { p.home.deliver(p.t, []byte(p.file(args[0]))) }

func (p *play) deposit(args []string) {
	role, flags := storage.RoleInbox, storage.Flags(0)
	switch args[0] {
	case "quarantine":
		role = storage.RoleQuarantine
	case "held":
		role, flags = storage.RoleOutbox, storage.Held
	case "suspected":
		flags = storage.InjectionSuspected
	}
	p.home.deposit(p.t, role, flags, []byte(p.file(args[1])))
}

func (p *play) revoke(args []string) {
	_, err := p.home.directory.RevokeCredential(p.t.Context(), storage.System, p.home.org.ID, p.home.creds[args[0]].ID, "test")
	check(p.t, err)
}

func (p *play) events(args []string) {
	verb, ok := audit.ParseVerb(args[0])
	want, err := strconv.Atoi(args[1])
	if !ok || err != nil {
		p.fail("not an expectation")
	}
	var all []audit.Event
	for range 100 { // ends of sessions are written a little later
		if all = p.home.events(p.t, verb); len(all)-p.seen[verb] >= want {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := len(all) - p.seen[verb]; got != want {
		p.fail("got %d events", got)
	}
	p.seen[verb] = len(all)
	if len(args) > 2 {
		if text := fieldsText(all[len(all)-1]); !strings.Contains(text, strings.Join(args[2:], " ")) {
			p.fail("got %s", text)
		}
	}
}

// fieldsText is what an event says, clear and personal.
func fieldsText(e audit.Event) string {
	var words []string
	for _, f := range slices.Concat(e.Fields, e.Personal) {
		words = append(words, fmt.Sprintf("%s=%v", f.Key, f.Value))
	}
	return strings.Join(words, " ")
}
