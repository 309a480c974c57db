package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
)

// cell is a place where the server runs as in its image, or under its unit: no root,
// no privileges, nothing that can be written to but its own data.
type cell struct {
	t      *testing.T
	volume string
	args   []string // of bwrap
	filter []byte   // system calls that are allowed, as a program for the kernel; nil: all
}

// newCell prepares a volume with a root key and a certificate, and free ports.
func newCell(t *testing.T) *cell {
	dir := folder(t)
	need(t, "bwrap", "setpriv")
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	c := &cell{t: t, volume: t.TempDir()}
	for _, d := range []string{"postern", "run", "witness"} {
		if err := os.Mkdir(filepath.Join(c.volume, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	certify(t, c.volume)
	command(t, filepath.Join(dir, "postern_"+version+"_linux_amd64"), "key", "init", "--path", filepath.Join(c.volume, "root.key"), "--data", filepath.Join(c.volume, "postern"))
	command(t, "chown", "-R", fmt.Sprintf("%d:%d", user, user), c.volume)
	for dir := filepath.Dir(c.volume); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // or the other user could not get here
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "tree")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.args = []string{"--ro-bind", filepath.Join(root, "postern"), "/postern", "--ro-bind", filepath.Join(root, "etc"), "/etc", "--bind", c.volume, "/data",
		"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/", "--die-with-parent", "--unshare-user", "--unshare-ipc", "--clearenv"}
	for name, value := range map[string]string{
		"POSTERN_HOST": "mail.example.com", "POSTERN_DATA": "/data/postern", "POSTERN_CONTROL": "/data/run/control.sock",
		"POSTERN_KEYS_ROOT": "/data/root.key", "POSTERN_KEYS_WITNESS": "/data/witness/witness",
		"POSTERN_TLS_CERT": "/data/cert.pem", "POSTERN_TLS_KEY": "/data/key.pem", "POSTERN_DNS_CHECK": "false",
		"POSTERN_LISTEN_SMTP": free(t), "POSTERN_LISTEN_IMAPS": free(t), "POSTERN_LISTEN_SUBMISSION": free(t), "POSTERN_LISTEN_SUBMISSIONS": free(t),
	} {
		c.args = append(c.args, "--setenv", name, value)
	}
	return c
}

func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certify writes a certificate that signs itself.
func certify(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.com"}, DNSNames: []string{"mail.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// running is a server in a cell.
type running struct {
	*cell
	cmd    *exec.Cmd
	inside int // the server's own process
	log    *bytes.Buffer
}

// start runs the server and waits until it is healthy.
func (c *cell) start() *running {
	t := c.t
	t.Helper()
	told, info, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	args := append([]string{"--reuid", fmt.Sprint(user), "--regid", fmt.Sprint(user), "--clear-groups", "--no-new-privs", "bwrap", "--info-fd", "3"}, c.args...)
	files := []*os.File{info}
	if c.filter != nil {
		program := c.program()
		defer program.Close()
		files = append(files, program)
		args = append(args, "--seccomp", "4")
	}
	r := &running{cell: c, cmd: exec.Command("setpriv", append(args, "/postern", "serve")...), log: new(bytes.Buffer)}
	r.cmd.ExtraFiles, r.cmd.Stderr, r.cmd.Stdout = files, r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	info.Close()
	t.Cleanup(func() { r.cmd.Process.Kill(); r.cmd.Wait() })
	var box struct {
		Child int `json:"child-pid"`
	}
	if err := json.NewDecoder(bufio.NewReader(told)).Decode(&box); err != nil {
		t.Fatalf("%v\n%s", err, r.log)
	}
	r.inside = box.Child
	for ctx, cancel := context.WithTimeout(t.Context(), time.Minute); ; {
		if out, err := r.postern("healthz"); err == nil {
			cancel()
			return r
		} else if ctx.Err() != nil {
			cancel()
			t.Fatalf("the server does not get healthy: %s\n%s", out, r.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// program is the filter as a file that bwrap reads.
func (c *cell) program() *os.File {
	path := filepath.Join(c.t.TempDir(), "filter.bpf")
	if err := os.WriteFile(path, c.filter, 0o600); err != nil {
		c.t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// postern runs a command beside the server.
func (c *cell) postern(args ...string) (string, error) {
	dir, _ := made()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(dir, "postern_"+version+"_linux_amd64"), append([]string{"--control", filepath.Join(c.volume, "run/control.sock")}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stop sends TERM and waits for an orderly end, within the time that the unit and the
// compose file give.
func (r *running) stop() {
	r.t.Helper()
	if err := syscall.Kill(r.inside, syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			r.t.Errorf("the server ended with %v\n%s", err, r.log)
		}
	case <-time.After(35 * time.Second):
		r.t.Fatalf("the server did not stop within its grace period\n%s", r.log)
	}
}

// The image works read-only, as a user without privileges, and its volume is all that
// a restart needs.
func TestImageRuns(t *testing.T) {
	c := newCell(t)
	r := c.start()
	if out, err := r.postern("domain", "add", "example.com", "--assume-owned", "--reason", "ours"); err != nil {
		t.Fatalf("%v %s\n%s", err, out, r.log)
	}
	r.stop()
	r = c.start()
	if out, err := r.postern("domain", "list"); err != nil || !strings.Contains(out, "example.com") {
		t.Errorf("after a restart: %v %s", err, out)
	}
	r.stop()
}

// The server does its work with the system calls that its unit leaves it.
func TestUnitsSystemCalls(t *testing.T) {
	need(t, "systemd-analyze")
	c := newCell(t)
	c.filter = assemble(t, allowed(t))
	r := c.start()
	if mode := seccompMode(t, r.inside); mode != "2" {
		t.Fatalf("the server's mode of filtering is %s: there is no filter", mode)
	}
	for _, args := range [][]string{
		{"domain", "add", "example.com", "--assume-owned", "--reason", "ours"},
		{"inbox", "create", "support@example.com"},
		{"agent", "create", "desk", "--owner", "ann@example.com"},
		{"credential", "create", "desk", "--scope", "read,flag,send:support@example.com"},
		{"audit", "list"},
	} {
		if out, err := r.postern(args...); err != nil {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
	r.stop()
	// The log of a second start reads what the first one wrote.
	r = c.start()
	r.stop()
	if strings.Contains(r.log.String(), "operation not permitted") {
		t.Errorf("something was forbidden:\n%s", r.log)
	}
}

// seccompMode is what the kernel says of a process (proc(5)): 2 is a filter.
func seccompMode(t *testing.T, pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if mode, ok := strings.CutPrefix(line, "Seccomp:"); ok {
			return strings.TrimSpace(mode)
		}
	}
	return "unknown"
}

// allowed reads the unit's SystemCallFilter= and has systemd say what its sets hold.
func allowed(t *testing.T) []string {
	unit, err := os.ReadFile("../postern.service")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]bool{}
	for line := range strings.Lines(string(unit)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		if !ok {
			continue
		}
		names, less := strings.CutPrefix(value, "~")
		for _, name := range strings.Fields(names) {
			for _, call := range members(t, name) {
				calls[call] = !less
			}
		}
	}
	// What every process may do, whatever the list says (systemd.exec(5)).
	for _, call := range members(t, "@default") {
		calls[call] = true
	}
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for call, may := range calls {
		if _, known := info.SyscallNames[call]; may && known {
			all = append(all, call)
		}
	}
	slices.Sort(all)
	if len(all) < 100 || slices.Contains(all, "mount") || slices.Contains(all, "chown") {
		t.Fatalf("the filter was read wrongly: %v", all)
	}
	return all
}

// members are the calls in one of systemd's sets, and in those that it holds.
func members(t *testing.T, set string) (calls []string) {
	if !strings.HasPrefix(set, "@") {
		return []string{set}
	}
	for line := range strings.Lines(command(t, "systemd-analyze", "syscall-filter", "--no-pager", set)) {
		name := strings.TrimSpace(line)
		if name == "" || name == set || strings.HasPrefix(name, "#") {
			continue
		}
		calls = append(calls, members(t, name)...)
	}
	return calls
}

// assemble makes the program that the kernel runs before each call: what is not
// listed fails with EPERM, as the unit's SystemCallErrorNumber= says.
func assemble(t *testing.T, calls []string) []byte {
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: calls}},
	}
	program, err := policy.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, i := range raw { // struct sock_filter
		binary.Write(&b, binary.NativeEndian, i.Op)
		binary.Write(&b, binary.NativeEndian, i.Jt)
		binary.Write(&b, binary.NativeEndian, i.Jf)
		binary.Write(&b, binary.NativeEndian, i.K)
	}
	return b.Bytes()
}
