package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/dns/zone"
	"postern/server/relay"
	"postern/storage/seal"
)

// DevOptions say how a laboratory starts.
type DevOptions struct {
	Dir       string       // keeps the state; empty: a temporary one, which goes with the process
	ReadyFile string       // gets a description, as Ready, once every door accepts; empty: none
	PortBase  int          // ports are this and the standard port; zero: 10000
	NoSamples bool         // leave the inboxes empty
	Out       io.Writer    // what a person reads; nil: os.Stdout
	Log       *slog.Logger // nil: warnings and errors, to os.Stderr
}

// Ready describes a running laboratory. Scripts and benchmarks rely on the names
// of its fields.
type Ready struct {
	Version     string     `json:"version"`
	PID         int        `json:"pid"`
	SMTP        string     `json:"smtp"`
	Submissions string     `json:"submissions"`
	Submission  string     `json:"submission"`
	IMAPS       string     `json:"imaps"`
	DNS         string     `json:"dns"`
	HTTP        string     `json:"http"`  // well-known files alone
	HTTPS       string     `json:"https"` // the same
	Panel       string     `json:"panel"`
	PanelLogin  string     `json:"panel_login"` // signs the admin in, once
	CAFile      string     `json:"ca_file"`
	Metrics     string     `json:"metrics"` // GET /metrics, /healthz/live and /healthz/ready, over plain HTTP
	Control     string     `json:"control"`
	Data        string     `json:"data"`
	Admin       DevAdmin   `json:"admin"`
	Agents      []DevAgent `json:"agents"`
}

// DevAdmin is the person of the laboratory, with the token of a session in clear.
type DevAdmin struct {
	Name    string `json:"name"`
	Session string `json:"session"` // for POSTERN_SESSION
}

// DevAgent is an agent of the laboratory, with its token in clear: a laboratory
// alone keeps one.
type DevAgent struct {
	Name  string `json:"name"`
	Inbox string `json:"inbox"`
	Login string `json:"login"`
	Token string `json:"token"`
}

// Names of the laboratory.
const (
	devDomain = "dev.test"
	devHost   = "mail.dev.test"
)

// Dev runs a laboratory on loopback until the context is done: a whole server
// with every control on, its own DNS, certificate and outside world, the domain
// dev.test, two agents, and sample mail.
func Dev(ctx context.Context, o DevOptions) error {
	o.setDefaults()
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "postern-dev-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	l := &laboratory{o: o}
	defer l.close()
	if err := l.open(ctx); err != nil {
		return err
	}
	return l.run(ctx)
}

func (o *DevOptions) setDefaults() {
	if o.PortBase == 0 {
		o.PortBase = 10000
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
}

// laboratory is what Dev runs: the server, and the world around it.
type laboratory struct {
	o         DevOptions
	authority *Authority
	names     *nameserver.Server
	outside   *outside
	server    *Server
	running   bool // the server closes itself
	socketDir string
}

// open makes the laboratory ready, in the order in which its parts need another.
// The root key and the witness lie beside the data directory and not in it, as
// anywhere.
func (l *laboratory) open(ctx context.Context) error {
	if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
		return err
	}
	if err := l.openKey(); err != nil {
		return err
	}
	if err := l.openAuthority(); err != nil {
		return err
	}
	tls, err := l.authority.Server()
	if err != nil {
		return err
	}
	if l.outside, err = newOutside(ctx, outsideHost, tls, l.o.Log); err != nil {
		return err
	}
	if err := l.openNames(); err != nil {
		return err
	}
	cfg, err := l.config()
	if err != nil {
		return err
	}
	resolver, err := dns.NewClient(dns.Config{Servers: []string{l.names.Addr().String()}})
	if err != nil {
		return err
	}
	checker := &zone.Checker{Client: resolver, Port: l.names.Addr().Port(), Private: true}
	l.server, err = New(ctx, cfg, Options{
		Log: l.o.Log, Laboratory: true, TLS: tls, Roots: l.authority.Pool(), Resolver: dns.NewCache(resolver, nil), Names: checker,
		Timeouts: relay.Timeouts{Greeting: devPatience, Command: devPatience, DataStart: devPatience, DataEnd: devPatience},
	})
	return l.explain(err)
}

// devPatience is how long the relay of a laboratory waits, so that one sees what
// timeout@ does.
const devPatience = 10 * time.Second

// explain adds what helps when the ports are taken.
func (l *laboratory) explain(err error) error {
	var taken *net.OpError
	if errors.As(err, &taken) && taken.Op == "listen" {
		return fmt.Errorf("%w: another program has the port; choose others with --port-base %d", err, l.o.PortBase+10000)
	}
	return err
}

// openKey opens the root key, or makes it with the laboratory.
func (l *laboratory) openKey() error {
	path := filepath.Join(l.o.Dir, "root.key")
	if _, err := os.Stat(filepath.Join(l.o.Dir, "data")); err == nil {
		return nil // a key for data that exists is never made anew: New says what is missing
	}
	_, err := seal.CreateRootKey(path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// openAuthority reads the certificates, or makes them when there are none or
// they are about to end.
func (l *laboratory) openAuthority() error {
	files := l.certificateFiles()
	a := &Authority{}
	for path, part := range files.parts(a) {
		b, err := os.ReadFile(path)
		if err != nil {
			return l.newAuthority(files)
		}
		*part = b
	}
	config, err := a.Server()
	if err != nil || config.Certificates[0].Leaf.NotAfter.Before(time.Now().Add(24*time.Hour)) {
		return l.newAuthority(files)
	}
	l.authority = a
	return nil
}

type certificateFiles struct{ ca, cert, key string }

func (l *laboratory) certificateFiles() certificateFiles {
	return certificateFiles{filepath.Join(l.o.Dir, "ca.pem"), filepath.Join(l.o.Dir, "cert.pem"), filepath.Join(l.o.Dir, "key.pem")}
}

func (f certificateFiles) parts(a *Authority) map[string]*[]byte {
	return map[string]*[]byte{f.ca: &a.CA, f.cert: &a.Cert, f.key: &a.Key}
}

func (l *laboratory) newAuthority(files certificateFiles) (err error) {
	if l.authority, err = NewAuthority(time.Now(), "localhost", devHost, "127.0.0.1",
		"mta-sts."+devDomain, "autoconfig."+devDomain, "autodiscover."+devDomain); err != nil {
		return err
	}
	for path, part := range files.parts(l.authority) {
		if err := os.WriteFile(path, *part, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// config is the laboratory's configuration. Its limits leave room for load tests,
// which all come from one address.
func (l *laboratory) config() (Config, error) {
	cfg := DefaultConfig()
	cfg.Host = devHost
	cfg.Data = filepath.Join(l.o.Dir, "data")
	cfg.Keys = KeysConfig{Root: filepath.Join(l.o.Dir, "root.key"), Witness: filepath.Join(l.o.Dir, "witness")}
	cfg.Control = filepath.Join(l.o.Dir, "control.sock")
	if len(cfg.Control) > maxSocketPath {
		dir, err := os.MkdirTemp("", "postern-")
		if err != nil {
			return cfg, err
		}
		l.socketDir = dir
		cfg.Control = filepath.Join(dir, "control.sock")
	}
	cfg.Listen = ListenConfig{SMTP: l.addr(25), Submission: l.addr(587), Submissions: l.addr(465), IMAPS: l.addr(993), HTTP: l.addr(80), HTTPS: l.addr(443), Panel: l.addr(8443), Metrics: l.addr(9464), DNS: off}
	cfg.Relay.Port, cfg.Relay.AllowPrivate = l.outside.port(), true
	cfg.Webhook.AllowPrivate = true
	cfg.Limits.Connections, cfg.Limits.PerNetwork = 4096, 4096
	return cfg, cfg.Check()
}

// maxSocketPath is the longest path of a Unix socket: sun_path in unix(7).
const maxSocketPath = 107

func (l *laboratory) addr(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.o.PortBase+port))
}

// run lets people in, sends the samples, says that it is ready, and waits.
func (l *laboratory) run(ctx context.Context) error {
	agents, fresh, err := l.people(ctx)
	if err != nil {
		return err
	}
	admin, err := l.admin(ctx)
	if err != nil {
		return err
	}
	if err := l.publish(ctx); err != nil {
		return err
	}
	go l.outside.serve()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var following sync.WaitGroup
	following.Go(func() { l.follow(ctx) })
	l.running = true
	ended := make(chan error, 1)
	go func() { ended <- l.server.Run(ctx) }()
	if fresh && !l.o.NoSamples {
		err = l.sendSamples(ctx)
	}
	if err == nil {
		err = l.announce(ctx, admin, agents)
	}
	if err != nil {
		stop()
	}
	err = errors.Join(err, <-ended)
	stop()
	following.Wait()
	return err
}

// close ends what open began.
func (l *laboratory) close() {
	if l.server != nil && !l.running {
		l.server.Close()
	}
	if l.outside != nil {
		l.outside.close()
	}
	if l.names != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.names.Stop(ctx)
	}
	if l.socketDir != "" {
		os.RemoveAll(l.socketDir)
	}
}

// announce writes the ready file and tells a person where to go.
func (l *laboratory) announce(ctx context.Context, admin DevAdmin, agents []DevAgent) error {
	ps, err := l.server.Directory().PersonSession(ctx, admin.Session)
	if err != nil {
		return err
	}
	link := l.server.PanelLink(ps.Person)
	r := Ready{
		Version: Version(), PID: os.Getpid(),
		SMTP: l.addr(25), Submissions: l.addr(465), Submission: l.addr(587), IMAPS: l.addr(993), DNS: l.names.Addr().String(),
		HTTP: l.addr(80), HTTPS: l.addr(443),
		Panel: "https://" + l.addr(8443), PanelLogin: "https://" + l.addr(8443) + link,
		Metrics: l.addr(9464), CAFile: l.certificateFiles().ca, Control: l.server.cfg.Control, Data: l.server.cfg.Data, Admin: admin, Agents: agents,
	}
	if l.o.ReadyFile != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := replaceFile(l.o.ReadyFile, append(b, '\n')); err != nil {
			return err
		}
	}
	return r.print(l.o.Out)
}

// replaceFile writes a file that only its owner may read, in one step: who waits
// for it never reads half of it.
func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
