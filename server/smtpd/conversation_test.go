package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"postern/storage"
)

// TestConversations runs testdata/*.txtar: each is a promise, told as a dialogue with a real server over real sockets.
// The words of the scripts are the methods of script.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	check(t, err)
	if len(files) == 0 {
		t.Fatal("no conversations")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			check(t, err)
			s := &script{t: t, files: map[string]string{}}
			for _, f := range archive.Files {
				s.files[f.Name] = strings.ReplaceAll(string(f.Data), "\n", "\r\n")
			}
			for i, line := range strings.Split(string(archive.Comment), "\n") {
				s.at = fmt.Sprintf("%s:%d: %s", file, i+1, line)
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					s.run(line)
				}
			}
		})
	}
}

// script is one conversation.
type script struct {
	t      *testing.T
	at     string
	files  map[string]string
	edits  []func(*Limits)
	space  int64
	house  *house
	client net.Conn
	in     *bufio.Reader
	last   []string // the last reply
	done   chan error
}

func (s *script) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", s.at, fmt.Sprintf(format, args...))
}

func (s *script) must(err error) {
	s.t.Helper()
	if err != nil {
		s.fail("%v", err)
	}
}

func (s *script) run(line string) {
	word, arg, _ := strings.Cut(line, " ")
	arg = strings.TrimSpace(arg)
	words := map[string]func(string){
		"limit": s.limit, "nospace": func(string) { s.space = 1 << 60 }, // before the first open
		"open": s.open, "starttls": s.startTLS, ">": s.say, ">>": s.sayRaw, "<": s.hear, "has": s.has, "lacks": s.lacks, "closed": s.closed,
		"login": s.login, "send": s.send, "chunk": s.chunk, "fill": s.fill, "repeat": s.repeat, "trickle": s.trickle, "hangup": func(string) { s.client.Close() },
		"clock": s.clock, "revoke": s.revoke, "shutdown": s.shutdown, "down": s.down, "storebroken": s.storeBroken, "early": s.early,
		"stored": s.stored, "equal": s.equal, "block": s.block, "queued": s.queued, "events": s.events, "rule": s.rule,
	}
	if words[word] == nil {
		s.fail("unknown word")
	}
	words[word](arg)
}

// limit NAME VALUE lowers a limit.
func (s *script) limit(arg string) {
	name, value, _ := strings.Cut(arg, " ")
	s.edits = append(s.edits, func(l *Limits) {
		f := reflect.ValueOf(l).Elem().FieldByName(name)
		if d, err := time.ParseDuration(value); err == nil && f.Type() == reflect.TypeFor[time.Duration]() {
			f.SetInt(int64(d))
			return
		}
		n, err := strconv.ParseInt(value, 10, 64)
		s.must(err)
		f.SetInt(n)
	})
}

// open DOOR connects and hears the banner; open DOOR silent leaves the banner.
func (s *script) open(arg string) {
	if s.house == nil {
		s.house = newHouse(s.t, s.space, func(l *Limits) {
			for _, edit := range s.edits {
				edit(l)
			}
		})
	}
	door, silent, _ := strings.Cut(arg, " ")
	c, err := net.Dial("tcp", s.house.addrs[door])
	s.must(err)
	s.t.Cleanup(func() { c.Close() })
	s.client, s.in = c, bufio.NewReader(c)
	if door == "submissions" {
		s.startTLS("")
	}
	if silent == "" {
		s.hear("220 " + hostname + " ESMTP*")
	}
}

// early connects and speaks at once.
func (s *script) early(text string) {
	s.open("mx silent")
	s.say(text)
}

func (s *script) startTLS(string) {
	c := tls.Client(s.client, &tls.Config{InsecureSkipVerify: true, ServerName: hostname})
	s.must(c.Handshake())
	s.client, s.in = c, bufio.NewReader(c)
}

// say sends a line, in which $TOKEN, $PLAIN and others stand for what AUTH needs.
func (s *script) say(line string) { s.write(s.expand(line) + "\r\n") }

func (s *script) expand(line string) string {
	return os.Expand(line, func(name string) string {
		b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
		switch name {
		case "PLAIN":
			return b64("\x00" + support + "\x00" + s.house.token)
		case "USER":
			return b64(support)
		case "TOKEN":
			return b64(s.house.token)
		case "OTHER":
			return b64("sales@example.com\x00" + support + "\x00" + s.house.token)
		case "WRONG":
			return b64("\x00" + support + "\x00pst_live_wrong")
		case "BEARER":
			return b64("n,a=" + support + ",\x01host=mx.example.com\x01port=587\x01auth=Bearer " + s.house.token + "\x01\x01")
		case "WRONGBEARER":
			return b64("n,a=" + support + ",\x01auth=Bearer pst_live_wrong\x01\x01")
		case "XOAUTH2":
			return b64("user=" + support + "\x01auth=Bearer " + s.house.token + "\x01\x01")
		case "WRONGXOAUTH2":
			return b64("user=" + support + "\x01auth=Bearer pst_live_wrong\x01\x01")
		}
		return "$" + name
	})
}

// sayRaw sends a Go string, quoted.
func (s *script) sayRaw(quoted string) {
	text, err := strconv.Unquote(quoted)
	s.must(err)
	s.write(text)
}

func (s *script) write(text string) {
	s.client.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(s.client, text); err != nil {
		s.t.Logf("%s\nwrite: %v", s.at, err)
	}
}

var replyLine = regexp.MustCompile(`^[2-5][0-9][0-9][ -][ -~]*\r\n$`)

// hear reads a reply and holds its last line against a glob pattern.
func (s *script) hear(pattern string) {
	s.t.Helper()
	s.last = nil
	s.client.SetDeadline(time.Now().Add(20 * time.Second))
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.fail("heard %q, then %v", line, err)
		}
		if !replyLine.MatchString(line) {
			s.fail("malformed reply %q", line)
		}
		s.last = append(s.last, strings.TrimRight(line, "\r\n"))
		if line[3] == ' ' {
			break
		}
	}
	if got := s.last[len(s.last)-1]; !glob(pattern, got) {
		s.fail("got %q", got)
	}
}

func glob(pattern, text string) bool {
	pattern, text = strings.ReplaceAll(pattern, "/", "|"), strings.ReplaceAll(text, "/", "|")
	ok, err := path.Match(pattern, text)
	return ok && err == nil
}

// has and lacks look at all lines of the last reply.
func (s *script) has(pattern string) {
	if !s.heard(pattern) {
		s.fail("the reply was %q", s.last)
	}
}

func (s *script) lacks(pattern string) {
	if s.heard(pattern) {
		s.fail("the reply was %q", s.last)
	}
}

func (s *script) heard(pattern string) bool {
	for _, line := range s.last {
		if glob(pattern, line) {
			return true
		}
	}
	return false
}

// closed expects the end of the connection, and nothing before it.
func (s *script) closed(string) {
	s.client.SetDeadline(time.Now().Add(20 * time.Second))
	rest, err := io.ReadAll(s.in)
	if ne, ok := err.(net.Error); ok && ne.Timeout() || len(rest) > 0 {
		s.fail("heard %q, %v", rest, err)
	}
}

// login says EHLO and authenticates.
func (s *script) login(string) {
	s.say("EHLO client.example.net")
	s.hear("250 *")
	s.say("AUTH PLAIN $PLAIN")
	s.hear("235 2.7.0 *")
}

// send FILE sends a file as DATA wants it, with its end.
func (s *script) send(name string) {
	text := s.files[name]
	if text == "" {
		s.fail("no file")
	}
	s.write(strings.TrimPrefix(strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n.."), "\r\n") + ".\r\n")
}

// chunk FROM:TO FILE [LAST] sends a part of a file by BDAT, the octets right behind the command.
func (s *script) chunk(arg string) {
	f := strings.Fields(arg)
	text := s.files[f[1]]
	from, to, _ := strings.Cut(f[0], ":")
	a, _ := strconv.Atoi(from)
	b := len(text)
	if to != "" {
		b, _ = strconv.Atoi(to)
	}
	last := ""
	if len(f) > 2 {
		last = " LAST"
	}
	s.write(fmt.Sprintf("BDAT %d%s\r\n%s", b-a, last, text[a:b]))
}

// fill N TEXT sends a text N times.
func (s *script) fill(arg string) {
	n, quoted, _ := strings.Cut(arg, " ")
	count, err := strconv.Atoi(n)
	s.must(err)
	text, err := strconv.Unquote(quoted)
	s.must(err)
	block := bytes.Repeat([]byte(text), max(1, min(count, 1<<16/len(text))))
	for left := count * len(text); left > 0; left -= len(block) {
		s.write(string(block[:min(left, len(block))]))
	}
}

// trickle N sends N octets, a hundred a second, or fewer when the server has had enough.
func (s *script) trickle(n string) {
	count, err := strconv.Atoi(n)
	s.must(err)
	for range count {
		if _, err := io.WriteString(s.client, "x"); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// repeat N LINE | LINE runs lines N times; $i counts.
func (s *script) repeat(arg string) {
	n, rest, _ := strings.Cut(arg, " ")
	count, err := strconv.Atoi(n)
	s.must(err)
	for i := range count {
		for line := range strings.SplitSeq(rest, " | ") {
			s.run(strings.ReplaceAll(strings.TrimSpace(line), "$i", strconv.Itoa(i)))
		}
	}
}

// clock DURATION moves the server's clock.
func (s *script) clock(arg string) {
	d, err := time.ParseDuration(arg)
	s.must(err)
	s.house.clock.advance(d)
}

// revoke ends the agent's credential.
func (s *script) revoke(string) {
	cut, err := s.house.directory.RevokeCredential(s.t.Context(), storage.System, s.house.org.ID, s.house.cred.ID, "test")
	s.must(err)
	s.t.Logf("cut %d sessions", cut)
}

// shutdown DURATION begins to stop the server; down waits until it has.
func (s *script) shutdown(arg string) {
	d, err := time.ParseDuration(arg)
	s.must(err)
	s.done = make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	go func() {
		defer cancel()
		s.done <- s.house.Shutdown(ctx)
	}()
}

// down ok|cut waits for the end of shutdown.
func (s *script) down(want string) {
	if err := <-s.done; (err == nil) != (want == "ok") {
		s.fail("Shutdown: %v", err)
	}
}

// storebroken closes the database under the server.
func (s *script) storeBroken(string) { s.must(s.house.store.Abandon()) }

// stored ADDRESS N counts the messages in an inbox.
func (s *script) stored(arg string) {
	address, n, _ := strings.Cut(arg, " ")
	if messages, _ := s.house.stored(s.t, address, storage.RoleInbox); strconv.Itoa(len(messages)) != n {
		s.fail("%d messages", len(messages))
	}
}

// equal FILE holds the newest message in support's inbox against a file.
func (s *script) equal(name string) {
	messages, _ := s.house.stored(s.t, support, storage.RoleInbox)
	if len(messages) == 0 || messages[len(messages)-1] != s.files[name] {
		s.fail("stored %q, want %q", messages, s.files[name])
	}
}

// block TEXT looks for a text in the header block of the newest message in support's inbox.
func (s *script) block(text string) {
	_, blocks := s.house.stored(s.t, support, storage.RoleInbox)
	if len(blocks) == 0 {
		s.fail("nothing stored")
	}
	got := strings.Join(strings.Fields(blocks[len(blocks)-1]), " ")
	if !strings.Contains(got, text) {
		s.fail("the block is %q", got)
	}
}

// queued N counts what waits to be sent.
func (s *script) queued(n string) {
	all, err := s.house.store.Outgoings(s.t.Context(), s.house.org.ID, [16]byte{}, 1000)
	s.must(err)
	if strconv.Itoa(len(all)) != n {
		s.fail("%d in the queue", len(all))
	}
}

// events VERB N counts events. The end of a session is recorded by the server's own goroutine, so it may take a moment.
func (s *script) events(arg string) {
	verb, n, _ := strings.Cut(arg, " ")
	got := 0
	for range 100 {
		if got = len(s.house.events(s.t, verb)); strconv.Itoa(got) == n {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.fail("%d events", got)
}

// rule NAME looks for a rule in the aggregated refusals of strangers.
func (s *script) rule(name string) {
	for _, e := range s.house.events(s.t, "strangers.refused") {
		for _, f := range e.Fields {
			if f.Value == name {
				return
			}
		}
	}
	s.fail("no refusal by that rule")
}
