package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/server"
	"postern/storage/seal"
)

// installation is a configuration with everything that a server needs.
func installation(t testing.TB) (server.Config, *server.Authority) {
	t.Helper()
	dir := t.TempDir()
	a, err := server.NewAuthority(time.Now(), "mail.example.com", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.DefaultConfig()
	cfg.Host = "mail.example.com"
	cfg.Data = filepath.Join(dir, "data")
	cfg.Control = filepath.Join(dir, "control.sock")
	cfg.Keys.Root = filepath.Join(dir, "root.key")
	cfg.TLS = server.TLSConfig{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	cfg.Listen = server.ListenConfig{SMTP: freeAddr(t), Submission: "off", Submissions: freeAddr(t), IMAPS: freeAddr(t), DNS: "off"}
	cfg.DNS.Servers = []string{"127.0.0.1:9"} // nobody answers there, and nothing here asks
	if _, err := seal.CreateRootKey(cfg.Keys.Root); err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, cfg.TLS, a)
	return cfg, a
}

func writeCertificate(t testing.TB, files server.TLSConfig, a *server.Authority) {
	t.Helper()
	if err := errors.Join(os.WriteFile(files.Cert, a.Cert, 0o600), os.WriteFile(files.Key, a.Key, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// freeAddr is an address that was free a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.78.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// notices plays systemd: what a process says to $NOTIFY_SOCKET.
func notices(t *testing.T) <-chan string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	said := make(chan string, 100)
	go func() {
		defer close(said)
		buf := make([]byte, 256)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			said <- string(buf[:n])
		}
	}()
	return said
}

func await(t *testing.T, said <-chan string, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case got := <-said:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("systemd did not hear %s", want)
		}
	}
}

// TestServe starts a server as systemd does, renews its certificate and stops it.
func TestServe(t *testing.T) {
	cfg, first := installation(t)
	said := notices(t)
	t.Setenv("WATCHDOG_USEC", "100000")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, cfg, io.Discard) }()
	await(t, said, "READY=1")
	await(t, said, "WATCHDOG=1")
	hearGreeting(t, cfg.Listen.SMTP)
	handshake(t, cfg.Listen.Submissions, first)

	second, err := server.NewAuthority(time.Now(), "mail.example.com", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	// A certificate that cannot be read leaves the old one in service.
	writeCertificate(t, cfg.TLS, &server.Authority{Cert: []byte("nonsense"), Key: second.Key})
	hangup(t)
	handshake(t, cfg.Listen.Submissions, first)
	writeCertificate(t, cfg.TLS, second)
	hangup(t)
	handshake(t, cfg.Listen.Submissions, second)

	stop()
	if err := <-ended; err != nil {
		t.Errorf("the stop was not in order: %v", err)
	}
	await(t, said, "STOPPING=1")
	if _, err := os.Stat(filepath.Join(filepath.Dir(cfg.Keys.Root), "witness")); err != nil {
		t.Errorf("no checkpoint was left at the stop: %v", err)
	}
	if _, err := net.Dial("tcp", cfg.Listen.SMTP); err == nil {
		t.Error("port 25 still answers")
	}
}

func hangup(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func hearGreeting(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	text, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(text, "220 mail.example.com ") {
		t.Fatalf("greeting %q, %v", text, err)
	}
}

// handshake waits until the door shows a certificate of the authority.
func handshake(t *testing.T, addr string, a *server.Authority) {
	t.Helper()
	var err error
	for range 200 {
		var c *tls.Conn
		c, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: a.Pool(), ServerName: "mail.example.com"})
		if err == nil {
			c.Close()
			return
		}
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal(err)
}

// TestServeRefusals: what an operator must mend is told apart from what another
// try may cure.
func TestServeRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*testing.T, *server.Config)
		key   string
	}{
		"no root key": {func(t *testing.T, c *server.Config) { os.Remove(c.Keys.Root) }, "keys.root"},
		"another root key": {func(t *testing.T, c *server.Config) {
			run(t, *c)
			os.Remove(c.Keys.Root)
			if _, err := seal.CreateRootKey(c.Keys.Root); err != nil {
				t.Fatal(err)
			}
		}, "keys.root"},
		"an older copy of the data": {func(t *testing.T, c *server.Config) {
			run(t, *c)
			old := filepath.Join(t.TempDir(), "old")
			if err := os.CopyFS(old, os.DirFS(c.Data)); err != nil {
				t.Fatal(err)
			}
			run(t, *c)
			c.Data = old
		}, "data"},
		"no certificate":           {func(t *testing.T, c *server.Config) { c.TLS = server.TLSConfig{} }, "tls.cert"},
		"a certificate of nothing": {func(t *testing.T, c *server.Config) { os.WriteFile(c.TLS.Cert, nil, 0o600) }, "tls.cert"},
		"a smart host's password that is not there": {func(t *testing.T, c *server.Config) {
			c.Relay.SmartHost, c.Relay.User, c.Relay.PasswordFile = "smart.example.net:587", "u", "/nowhere"
		}, "relay.password_file"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := installation(t)
			c.spoil(t, &cfg)
			err := server.Serve(t.Context(), cfg, io.Discard)
			var bad *server.ConfigError
			if !errors.As(err, &bad) || bad.Key != c.key {
				t.Errorf("got %v, want a ConfigError about %s", err, c.key)
			}
		})
	}
}

// Without its root key nothing of the data can be read: the refusal names the key
// that is wanted and the command that puts it back, whether there is none or
// another one.
func TestRootKeyIsNamed(t *testing.T) {
	cfg, _ := installation(t)
	run(t, cfg)
	key, err := seal.LoadRootKey(cfg.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"missing", "another"} {
		os.Remove(cfg.Keys.Root)
		if what == "another" {
			if _, err := seal.CreateRootKey(cfg.Keys.Root); err != nil {
				t.Fatal(err)
			}
		}
		err := server.Serve(t.Context(), cfg, io.Discard)
		var bad *server.ConfigError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), key.ID()) ||
			!strings.Contains(err.Error(), "install -m 600 COPY "+cfg.Keys.Root) || strings.Contains(err.Error(), "key init") {
			t.Errorf("%s key: %v", what, err)
		}
	}
}

// run starts a server and stops it.
func run(t *testing.T, cfg server.Config) {
	t.Helper()
	s, err := server.New(t.Context(), cfg, server.Options{TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestAcceptRollback: an operator may open older data on purpose, and that is an
// event.
func TestAcceptRollback(t *testing.T) {
	cfg, _ := installation(t)
	run(t, cfg)
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(cfg.Data)); err != nil {
		t.Fatal(err)
	}
	run(t, cfg)
	cfg.Data, cfg.AcceptRollback = old, "restored after a lost disk"
	run(t, cfg)
	cfg.AcceptRollback = ""
	run(t, cfg) // the log went on from there
}

// TestTakenPortIsNamed: the error says which door could not be opened, and the
// data is let go.
func TestTakenPortIsNamed(t *testing.T) {
	cfg, _ := installation(t)
	l, err := net.Listen("tcp", cfg.Listen.IMAPS)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.New(t.Context(), cfg, server.Options{TLS: &tls.Config{}})
	if err == nil || !strings.Contains(err.Error(), "listen.imaps") {
		t.Errorf("%v does not name the door", err)
	}
	l.Close()
	run(t, cfg)
}

// BenchmarkStart is a start on data that exists: from the configuration to
// every listener bound.
func BenchmarkStart(b *testing.B) {
	cfg, _ := installation(b)
	for b.Loop() {
		s, err := server.New(b.Context(), cfg, server.Options{TLS: &tls.Config{}})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}
