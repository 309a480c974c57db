package servertest

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/server"
)

// Pebble is a certificate authority of a world: letsencrypt/pebble, a tool of this
// module. It looks for challenges at ports of its own in place of 80 and 443. Its certificates have the machine's time, from
// which a world's clock may be far.
type Pebble struct {
	Directory string // URL
	CAFile    string // who certified its own server
	HTTP      int    // port in place of 80
	HTTPS     int    // port in place of 443

	resolver   string
	dir        string
	addr       string // of the directory
	management string
	reserved   []net.Listener
	files      *server.Authority
	roots      *x509.CertPool
	cmd        *exec.Cmd
	ended      chan error
	said       *log
}

// NewPebble starts an authority with its files in a folder, which resolves by the
// name server at an address. Close it.
func NewPebble(dir, resolver string) (*Pebble, error) {
	p := &Pebble{resolver: resolver, dir: dir, said: new(log)}
	var err error
	if p.files, err = server.NewAuthority(time.Now(), "localhost", "127.0.0.1"); err != nil {
		return nil, err
	}
	for _, port := range []*int{&p.HTTP, &p.HTTPS} {
		l, err := reserve()
		if err != nil {
			return nil, err
		}
		p.reserved = append(p.reserved, l)
		*port = l.Addr().(*net.TCPAddr).Port
	}
	for range 5 { // its own ports must be named, and may be taken meanwhile
		if err = p.start(); err == nil {
			return p, nil
		}
	}
	return nil, errors.Join(err, p.Close())
}

// start writes the configuration and waits until the authority answers.
func (p *Pebble) start() error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	p.addr, p.management = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	p.Directory, p.CAFile = "https://"+p.addr+"/dir", filepath.Join(p.dir, "pebble-ca.pem")
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": p.addr, "managementListenAddress": p.management,
		"certificate": filepath.Join(p.dir, "pebble-cert.pem"), "privateKey": filepath.Join(p.dir, "pebble-key.pem"),
		"httpPort": p.HTTP, "tlsPort": p.HTTPS, "keyAlgorithm": "ecdsa",
		"retryAfter":      map[string]int{"authz": 1, "order": 1},
		"profiles":        map[string]any{"default": map[string]any{"description": "as usual", "validityPeriod": 90 * 24 * 3600}},
		"domainBlocklist": []string{"refused.test"},
	}})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"pebble-ca.pem": p.files.CA, "pebble-cert.pem": p.files.Cert, "pebble-key.pem": p.files.Key, "pebble.json": config} {
		if err := os.WriteFile(filepath.Join(p.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return p.Up()
}

// Up starts the authority again after Down, at the same address; it remembers
// nothing of before.
func (p *Pebble) Up() error {
	path, err := exec.Command("go", "tool", "-n", "pebble").Output()
	if err != nil {
		return fmt.Errorf("pebble cannot be built: %w", err)
	}
	p.cmd = exec.Command(strings.TrimSpace(string(path)), "-config", filepath.Join(p.dir, "pebble.json"), "-dnsserver", p.resolver)
	p.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(p.cmd, p.ended)
	return p.wait()
}

// wait asks for the root until the authority answers.
func (p *Pebble) wait() error {
	pool := p.files.Pool()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case err := <-p.ended:
			p.cmd = nil
			return fmt.Errorf("pebble ended: %w: %s", err, p.said)
		case <-time.After(20 * time.Millisecond):
		}
		root, err := get(client, "https://"+p.management+"/roots/0")
		if err != nil {
			continue
		}
		if _, err := get(client, p.Directory); err != nil {
			continue
		}
		p.roots = x509.NewCertPool()
		if !p.roots.AppendCertsFromPEM(root) {
			return errors.New("pebble has no root")
		}
		return nil
	}
	return errors.Join(fmt.Errorf("pebble does not answer: %s", p.said), p.Down())
}

func get(client *http.Client, url string) ([]byte, error) {
	r, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(io.LimitReader(r.Body, 1<<20))
}

// Roots trust the certificates of the authority.
func (p *Pebble) Roots() *x509.CertPool { return p.roots }

// Down stops the authority, and loses all that it knows.
func (p *Pebble) Down() error {
	if p.cmd == nil {
		return nil
	}
	p.cmd.Process.Kill()
	<-p.ended
	p.cmd = nil
	return nil
}

// Close ends the authority.
func (p *Pebble) Close() error {
	for _, l := range p.reserved {
		l.Close()
	}
	return p.Down()
}

// freePorts finds ports of 127.0.0.1 that nobody has.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// Served waits until a door of a host shows a certificate of the authority for a
// name, and returns it.
func (p *Pebble) Served(host *Postern, door, name string) (cert *x509.Certificate, err error) {
	for deadline := time.Now().Add(3 * patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if cert, err = shown(host.Addr(door).String(), door, &tls.Config{ServerName: name, RootCAs: p.roots}); err == nil {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("%s for %s: %w; pebble said: %s", door, name, err, p.said)
}

// shown is the certificate that a door shows in a handshake.
func shown(addr, door string, config *tls.Config) (*x509.Certificate, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	w := newWire(conn, config)
	if door == "smtp" || door == "submission" {
		t := &smtpTalk{w}
		if err := errors.Join(t.hear("220 *"), t.say("EHLO test"), t.hear("250*"), t.say("STARTTLS"), t.hear("220 *")); err != nil {
			return nil, err
		}
	}
	if err := w.secure(); err != nil {
		return nil, err
	}
	return w.conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// authority [down|up]
func (s *script) authority(ts *testscript.TestScript, args []string) (err error) {
	switch {
	case len(args) == 0 && s.pebble == nil:
		dir := filepath.Join(s.dir, ".authority")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		s.pebble, err = NewPebble(dir, s.world.Names.Addr().String())
		return err
	case len(args) == 0 || s.pebble == nil:
		return errors.New("there is one authority, or none")
	case args[0] == "down":
		return s.pebble.Down()
	case args[0] == "up":
		return s.pebble.Up()
	}
	return fmt.Errorf("authority %s?", args[0])
}

// certificate HOST DOOR NAME
func (s *script) certificate(ts *testscript.TestScript, args []string) error {
	if s.pebble == nil {
		return errors.New("there is no authority")
	}
	cert, err := s.pebble.Served(s.find(ts, args[0]).Postern, args[1], args[2])
	if err == nil {
		fmt.Fprintf(ts.Stdout(), "%x\n", sha256.Sum256(cert.Raw))
	}
	return err
}
