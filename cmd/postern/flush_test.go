package main_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A kill keeps the page cache, so no crash test can see a missing flush. This
// one reads what the server asked of the kernel.

// flushTrace follows writes and flushes below a directory through a trace of
// system calls.
type flushTrace struct {
	root    string
	line    int
	known   map[string]bool // files that exist
	dirty   map[string]int  // file or directory -> line of its last write
	pending map[string]call // process -> call that has not returned
	replies int
	faults  []string
}

type call struct {
	name, args string
	line       int
}

var (
	callLine    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumedLine = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	firstPath   = regexp.MustCompile(`^\d+<([^>]*)>`)
	openResult  = regexp.MustCompile(`= \d+<([^>]*)>`)
	quoted      = regexp.MustCompile(`"([^"]*)"`)
)

// read takes the trace line by line. A flush counts when it returned, a write
// when it began.
func (f *flushTrace) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f.line++
		text := lines.Text()
		if m := resumedLine.FindStringSubmatch(text); m != nil {
			c := f.pending[m[1]]
			delete(f.pending, m[1])
			f.returned(call{m[2], c.args + m[3], c.line})
			continue
		}
		m := callLine.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		c := call{m[2], m[3], f.line}
		f.began(c)
		if strings.HasSuffix(text, "<unfinished ...>") {
			f.pending[m[1]] = c
			continue
		}
		f.returned(c)
	}
	return lines.Err()
}

func (f *flushTrace) inside(path string) bool {
	return strings.HasPrefix(path, f.root) && !strings.HasSuffix(path, "-shm")
}

func (f *flushTrace) began(c call) {
	m := firstPath.FindStringSubmatch(c.args)
	switch {
	case m == nil:
	case strings.HasPrefix(c.name, "write") || strings.HasPrefix(c.name, "pwrite") || c.name == "ftruncate":
		if f.inside(m[1]) {
			f.dirty[m[1]] = f.line
		}
		if strings.HasPrefix(m[1], "socket:") || strings.HasPrefix(m[1], "TCP:") {
			f.reply(c.args)
		}
	}
}

func (f *flushTrace) returned(c call) {
	switch c.name {
	case "fsync", "fdatasync":
		if m := firstPath.FindStringSubmatch(c.args); m != nil && strings.Contains(c.args, "= 0") && f.dirty[m[1]] < c.line {
			delete(f.dirty, m[1])
		}
	case "openat", "open":
		m := openResult.FindStringSubmatch(c.args)
		if m != nil && strings.Contains(c.args, "O_CREAT") && f.inside(m[1]) && !f.known[m[1]] {
			f.known[m[1]] = true
			f.dirty[filepath.Dir(m[1])] = f.line
		}
	case "rename", "renameat", "renameat2":
		// The new name is durable when its directory was flushed, the bytes when the
		// old name's were.
		names := quoted.FindAllStringSubmatch(c.args, 2)
		if len(names) < 2 || !strings.Contains(c.args, "= 0") || !f.inside(names[1][1]) {
			return
		}
		if line, ok := f.dirty[names[0][1]]; ok {
			delete(f.dirty, names[0][1])
			f.dirty[names[1][1]] = line
		}
		f.dirty[filepath.Dir(names[1][1])] = f.line
	}
}

// reply notes what was not flushed when a message was acknowledged.
func (f *flushTrace) reply(args string) {
	if !regexp.MustCompile(`"250 2\.[06]\.0`).MatchString(args) {
		return
	}
	f.replies++
	for path, line := range f.dirty {
		f.faults = append(f.faults, fmt.Sprintf("line %d: 250 was sent, and the write at line %d to %s was not flushed", f.line, line, path))
	}
}

// traceDelivery runs a server under strace, delivers small and large messages
// one after the other, and returns what the trace shows.
func traceDelivery(t *testing.T, ldflags string) *flushTrace {
	t.Helper()
	strace := needs(t, "strace")
	bin := binary(t, ldflags)
	dir := filepath.Join(t.TempDir(), "dev")
	startDev(t, bin, dir).stop() // so that what exists at the start is known
	trace := filepath.Join(t.TempDir(), "trace")
	f := &flushTrace{root: filepath.Join(dir, "data"), known: map[string]bool{}, dirty: map[string]int{}, pending: map[string]call{}}
	filepath.WalkDir(f.root, func(path string, _ fs.DirEntry, _ error) error { f.known[path] = true; return nil })
	d := startDev(t, bin, dir, strace, "-f", "-y", "-s", "100", "-o", trace,
		"-e", "trace=openat,open,write,writev,pwrite64,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2")
	time.Sleep(2 * time.Second) // the first heartbeat and checkpoint are over
	c, err := d.dialSMTP(-1)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		text := strings.Repeat(fmt.Sprintf("line of message %d\r\n", n), []int{10, 200, 20_000}[n%3])
		message := fmt.Sprintf("From: <a@elsewhere.test>\r\nSubject: %d\r\nMessage-ID: <%d@elsewhere.test>\r\n\r\n%s", n, n, text)
		if err := send(c, "a@elsewhere.test", d.Agents[0].Inbox, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	c.Quit()
	d.stop()
	if err := f.read(trace); err != nil {
		t.Fatal(err)
	}
	if f.replies != 12 {
		t.Fatalf("the trace shows %d acknowledged messages, want 12", f.replies)
	}
	return f
}

// TestInvariant1_FlushedBefore250: for each 250, every file that holds the
// message, and the directory of a new file, was flushed after its last write and
// before the reply.
func TestInvariant1_FlushedBefore250(t *testing.T) {
	for _, fault := range traceDelivery(t, "").faults {
		t.Error(fault)
	}
}

// TestFlushTraceNoticesALoweredSetting: the test above would fail.
func TestFlushTraceNoticesALoweredSetting(t *testing.T) {
	if testing.Short() {
		t.Skip("the same trace with another binary")
	}
	if f := traceDelivery(t, "-X postern/storage.synchronous=OFF"); len(f.faults) < 12 {
		t.Errorf("with synchronous=OFF the trace shows %d faults: the check sees nothing", len(f.faults))
	}
}
