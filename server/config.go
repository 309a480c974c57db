package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"postern/dns"
	"postern/storage/seal"
)

// DefaultConfigFile is read when no file is named, and may then be absent.
const DefaultConfigFile = "/etc/postern/postern.toml"

// Config is what must be known before the database opens. Everything else that
// an administrator decides lives in the database, where each change is an event.
type Config struct {
	// Host is this server's name, as in MX records and in its certificate. Empty: what
	// the set-up says, which begins where it has said nothing.
	Host string `toml:"host"`
	// Addresses are those of Host, as others reach it; none: what this machine knows.
	Addresses []string `toml:"addresses"`
	// Data is the data directory.
	Data string `toml:"data"`
	// Control is the path of the Unix socket that commands talk to.
	Control string        `toml:"control"`
	Listen  ListenConfig  `toml:"listen"`
	Proxy   ProxyConfig   `toml:"proxy"`
	Keys    KeysConfig    `toml:"keys"`
	TLS     TLSConfig     `toml:"tls"`
	ACME    ACMEConfig    `toml:"acme"`
	Relay   RelayConfig   `toml:"relay"`
	Webhook WebhookConfig `toml:"webhook"`
	DNS     DNSConfig     `toml:"dns"`
	Limits  LimitsConfig  `toml:"limits"`
	Log     LogConfig     `toml:"log"`

	// AcceptRollback, when not empty, is an operator's reason for opening data
	// that is older than the witness says: a flag, and never in the file.
	AcceptRollback string `toml:"-"`

	origins map[string]string // of each setting: a flag, a variable, the file
	sources *Sources          // that it was loaded from; nil: it was not
}

// ListenConfig has the address of each door, as ":25" or "192.0.2.1:25". "off"
// closes a door.
type ListenConfig struct {
	SMTP        string `toml:"smtp"`        // mail from other servers, RFC 5321
	Submission  string `toml:"submission"`  // agents, with STARTTLS, RFC 6409
	Submissions string `toml:"submissions"` // agents, with TLS from the first byte, RFC 8314
	IMAPS       string `toml:"imaps"`       // agents, with TLS from the first byte
	DNS         string `toml:"dns"`         // everybody, over UDP and TCP: the zones of the domains; one address or several, divided by commas
	// Ports 80 and 443 are for well-known files alone: challenges of a certificate
	// authority, MTA-STS policies, settings of mail programs. Empty: open when
	// certificates come from an authority.
	HTTP  string `toml:"http"`
	HTTPS string `toml:"https"`
	// Panel is for people with a browser, over TLS. Empty is off.
	Panel string `toml:"panel"`
	// Metrics is for programs that look after the server, over plain HTTP: numbers for
	// Prometheus, and whether the server lives and is ready. Who reaches it is not asked
	// who they are. Empty is off.
	Metrics string `toml:"metrics"`
}

// dns lists the addresses of the name server; none when it is off.
func (l ListenConfig) dns() []string {
	if l.DNS == off {
		return nil
	}
	return strings.FieldsFunc(l.DNS, func(r rune) bool { return r == ',' || r == ' ' })
}

// ProxyConfig names the load balancers that say, by the PROXY protocol, who a client is.
type ProxyConfig struct {
	// From are their networks, as "10.0.0.0/8": whoever connects from there must say it,
	// and nobody else can. None: nobody is believed.
	From []string `toml:"from"`
	// Listeners are those that this holds for, as "smtp"; none: all but dns and metrics.
	Listeners []string `toml:"listeners"`
}

// KeysConfig says where the root key and the witness are. Neither may lie in the
// data directory: whoever steals that must not get the key with it, and whoever
// restores an old copy of it must not restore the witness with it.
type KeysConfig struct {
	Root    string `toml:"root"`
	Witness string `toml:"witness"` // file of the newest checkpoint; empty: beside the root key
}

// TLSConfig names the certificate chain and its key, in PEM. They are read again
// on SIGHUP.
type TLSConfig struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// ACMEConfig says where certificates come from when there are none in files, or for
// the names that these do not cover.
type ACMEConfig struct {
	// Directory is the URL of an authority's directory (RFC 8555, section 7.1.1), or
	// "letsencrypt", or "letsencrypt-staging"; empty: no authority is asked. Who names
	// one agrees to its terms of service.
	Directory  string   `toml:"directory"`
	Contact    string   `toml:"contact"`    // mail address for the authority; may be empty
	Challenges []string `toml:"challenges"` // in the order tried; none: all that can be answered
	CAFile     string   `toml:"ca_file"`    // PEM certificates to verify the authority's server with instead of the system's
}

// RelayConfig says how mail leaves: straight to the mail exchangers of its
// recipients, or through a smart host.
type RelayConfig struct {
	SmartHost    string `toml:"smarthost"`     // "smtp.example.net:587"; empty: mail exchangers
	User         string `toml:"user"`          // for AUTH at the smart host; empty: none
	PasswordFile string `toml:"password_file"` // holds the password; a line end after it is ignored
	TLS          string `toml:"tls"`           // "starttls" or "implicit", to the smart host
	CAFile       string `toml:"ca_file"`       // PEM certificates to verify with instead of the system's
	Port         int    `toml:"port"`          // of mail exchangers: 25, but in a laboratory
	PolicyPort   int    `toml:"policy_port"`   // where policies of MTA-STS are fetched: 443, but in a laboratory
	AllowPrivate bool   `toml:"allow_private"` // send to hosts with private addresses too
}

// WebhookConfig says where webhooks may be.
type WebhookConfig struct {
	AllowPrivate bool `toml:"allow_private"` // at private addresses too, and over http at this machine's own
}

// DNSConfig names the resolvers.
type DNSConfig struct {
	Servers []string `toml:"servers"`  // "192.0.2.53" or "192.0.2.53:5353"; none: /etc/resolv.conf
	TrustAD bool     `toml:"trust_ad"` // they validate (DNSSEC), and nobody is between them and us; on loopback they are believed anyway
	// Zone is a zone that is delegated to this server, for selectors of domains whose
	// owners point them here by CNAME.
	Zone  string `toml:"zone"`
	Check bool   `toml:"check"` // ask the DNS by itself whether domains publish what they need
}

// LimitsConfig changes the limits of the doors. Zero leaves the default of each.
type LimitsConfig struct {
	Connections int   `toml:"connections"`  // at a time, of each door
	PerNetwork  int   `toml:"per_network"`  // of these, from one IPv4 address or IPv6 /64
	Message     int64 `toml:"message_size"` // bytes of the largest message
}

// LogConfig says what is logged, to standard error.
type LogConfig struct {
	Level  string `toml:"level"`  // debug, info, warn or error
	Format string `toml:"format"` // text or json
}

// DefaultConfig returns what holds where nothing is configured.
func DefaultConfig() Config {
	return Config{
		Data:    "/var/lib/postern",
		Control: "/run/postern/control.sock",
		Listen:  ListenConfig{SMTP: ":25", Submission: ":587", Submissions: ":465", IMAPS: ":993", DNS: off},
		Keys:    KeysConfig{Root: defaultRootKey()},
		Relay:   RelayConfig{TLS: "starttls", Port: 25, PolicyPort: 443},
		DNS:     DNSConfig{Check: true},
		Log:     LogConfig{Level: "info", Format: "text"},
	}
}

// defaultRootKey is where the root key is when nothing names it: among the
// credentials that systemd hands over, or where the package puts it.
func defaultRootKey() string {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "root.key")
	}
	return packagedRootKey
}

// packagedRootKey is where the package puts the root key.
const packagedRootKey = "/etc/postern/root.key"

// A ConfigError is what its owner must mend before a start can succeed. The
// command ends with exit status 78, at which systemd does not try again.
type ConfigError struct {
	Key  string // the setting, as "listen.smtp"; empty: none in particular
	Text string // what is wrong
	Hint string // what to do, perhaps a command; may be empty
	Err  error  // the cause; may be nil
}

// Error says what is wrong and what to do.
func (e *ConfigError) Error() string {
	var b strings.Builder
	if e.Key != "" {
		fmt.Fprintf(&b, "%s: ", e.Key)
	}
	b.WriteString(e.Text)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// Sources are the places that settings come from. A flag counts before a
// variable POSTERN_… of the environment, that before the file, that before the
// default.
type Sources struct {
	File  string                      // empty: POSTERN_CONFIG, then DefaultConfigFile if it exists
	Flags map[string]string           // by setting, as "listen.smtp"
	Env   func(string) (string, bool) // nil: os.LookupEnv
}

// LoadConfig reads the settings and checks them. An unknown or misspelt setting
// is an error, never ignored. All errors are *ConfigError.
func LoadConfig(s Sources) (Config, error) {
	if s.Env == nil {
		s.Env = os.LookupEnv
	}
	c := DefaultConfig()
	c.origins, c.sources = map[string]string{}, &s
	if err := c.readFile(s); err != nil {
		return c, err
	}
	for _, set := range c.settings() {
		if v, ok := s.Env(variable(set.key)); ok {
			if err := set.parse(v); err != nil {
				return c, &ConfigError{Key: set.key, Text: "bad value in " + variable(set.key), Err: err}
			}
			c.origins[set.key] = variable(set.key)
		}
		if v, ok := s.Flags[set.key]; ok {
			if err := set.parse(v); err != nil {
				return c, &ConfigError{Key: set.key, Text: "bad value", Err: err}
			}
			c.origins[set.key] = "flag"
		}
	}
	if path, ok := s.Env("POSTERN_ROOT_KEY_FILE"); ok {
		c.Keys.Root, c.origins["keys.root"] = path, "POSTERN_ROOT_KEY_FILE"
	}
	return c, c.Check()
}

// readFile takes over what the configuration file says.
func (c *Config) readFile(s Sources) error {
	path := s.File
	if path == "" {
		path, _ = s.Env("POSTERN_CONFIG")
	}
	named := path != ""
	if !named {
		path = DefaultConfigFile
	}
	meta, err := toml.DecodeFile(path, c)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case err != nil:
		return &ConfigError{Text: "cannot read the configuration file", Err: err}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return &ConfigError{Key: unknown[0].String(), Text: "there is no such setting in " + path, Hint: "`postern config show` lists them all"}
	}
	for _, set := range c.settings() {
		if meta.IsDefined(strings.Split(set.key, ".")...) {
			c.origins[set.key] = path
		}
	}
	return nil
}

// variable is the environment variable of a setting.
func variable(key string) string {
	return "POSTERN_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Setting is one effective value and where it came from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // "flag", the variable's name, the file's path, or "default"
	About  string `json:"about"`  // what it is for, in a sentence
}

// Settings lists every setting in the order of the documentation. It holds no
// secret: these are in files of their own.
func (c *Config) Settings() []Setting {
	var all []Setting
	for _, set := range c.settings() {
		origin := c.origins[set.key]
		if origin == "" {
			origin = "default"
		}
		all = append(all, Setting{Key: set.key, Value: set.format(), About: settingWords[set.key], Origin: origin})
	}
	return all
}

// Check says what is wrong with the settings by themselves: a *ConfigError, or
// nil. Files are looked at when they are opened.
func (c *Config) Check() error {
	if c.managed() {
		return c.checkPlaces() // set-up names the server
	}
	if _, err := dns.Name(c.Host); err != nil || !strings.Contains(c.Host, ".") || net.ParseIP(c.Host) != nil {
		return &ConfigError{Key: "host", Text: "must be the full name of this server", Hint: `as in host = "mail.example.com"`}
	}
	return c.checkPlaces()
}

// checkPlaces is Check without the name.
func (c *Config) checkPlaces() error {
	for _, d := range c.doors() {
		if d.addr == off {
			continue
		}
		if _, _, err := net.SplitHostPort(d.addr); err != nil {
			return &ConfigError{Key: "listen." + d.name, Text: fmt.Sprintf("%q is not an address", d.addr), Hint: `as ":25", "192.0.2.1:25", or "off"`}
		}
	}
	for _, addr := range c.Listen.dns() {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return &ConfigError{Key: "listen.dns", Text: fmt.Sprintf("%q is not an address", addr), Hint: `as ":53", "192.0.2.25:53, [2001:db8::25]:53", or "off"`}
		}
	}
	if c.Data == "" {
		return &ConfigError{Key: "data", Text: "must be a directory"}
	}
	for _, f := range []struct{ key, path string }{{"keys.root", c.Keys.Root}, {"keys.witness", c.WitnessFile()}} {
		if inside(f.path, c.Data) {
			return &ConfigError{Key: f.key, Text: "must not lie in the data directory", Hint: "who gets a copy of the data must not get this with it"}
		}
	}
	return errors.Join(c.checkNames(), c.checkRelay(), c.ACME.check(), c.checkProxy(), c.checkRest())
}

func (c *Config) checkNames() error {
	for _, a := range c.Addresses {
		if ip, err := netip.ParseAddr(a); err != nil || ip.Zone() != "" || ip.IsUnspecified() {
			return &ConfigError{Key: "addresses", Text: fmt.Sprintf("%q is not an address", a), Hint: `as addresses = ["192.0.2.25", "2001:db8::25"]`}
		}
	}
	if c.DNS.Zone == "" {
		return nil
	}
	if name, err := dns.Name(c.DNS.Zone); err != nil || !strings.Contains(name, ".") {
		return &ConfigError{Key: "dns.zone", Text: fmt.Sprintf("%q is not the name of a zone", c.DNS.Zone), Hint: `as "keys.example.com", which is delegated to this server`}
	}
	if len(c.Listen.dns()) == 0 {
		return &ConfigError{Key: "dns.zone", Text: "nobody can be told what is in it", Hint: `listen.dns must be an address, as ":53"`}
	}
	return nil
}

func (c *Config) checkRelay() error {
	if c.Relay.SmartHost != "" {
		if _, _, err := net.SplitHostPort(c.Relay.SmartHost); err != nil {
			return &ConfigError{Key: "relay.smarthost", Text: fmt.Sprintf("%q is not host:port", c.Relay.SmartHost)}
		}
	}
	if c.Relay.TLS != "starttls" && c.Relay.TLS != "implicit" {
		return &ConfigError{Key: "relay.tls", Text: `must be "starttls" or "implicit"`}
	}
	if (c.Relay.User == "") != (c.Relay.PasswordFile == "") {
		return &ConfigError{Key: "relay.user", Text: "user and password_file go together"}
	}
	if c.Relay.Port < 1 || c.Relay.Port > 65535 {
		return &ConfigError{Key: "relay.port", Text: "must be a port"}
	}
	if c.Relay.PolicyPort < 1 || c.Relay.PolicyPort > 65535 {
		return &ConfigError{Key: "relay.policy_port", Text: "must be a port"}
	}
	return nil
}

func (c *Config) checkRest() error {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return &ConfigError{Key: "tls.cert", Text: "cert and key go together"}
	}
	if _, err := c.Log.level(); err != nil {
		return &ConfigError{Key: "log.level", Text: "must be debug, info, warn or error"}
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return &ConfigError{Key: "log.format", Text: `must be "text" or "json"`}
	}
	if c.Limits.Connections < 0 || c.Limits.PerNetwork < 0 || c.Limits.Message < 0 {
		return &ConfigError{Key: "limits", Text: "must not be negative"}
	}
	return nil
}

// off is the address of a door that is closed.
const off = "off"

// WitnessFile is the path of the file with the newest checkpoint: as configured,
// else beside the root key. Under systemd that place cannot be written to, as the
// key is a credential, and a state directory of its own takes its part.
func (c *Config) WitnessFile() string {
	if c.Keys.Witness != "" {
		return c.Keys.Witness
	}
	root, err := seal.FindRootKey(c.Keys.Root)
	if err != nil {
		root = c.Keys.Root
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && inside(root, dir) {
		return "/var/lib/postern-witness/witness"
	}
	return filepath.Join(filepath.Dir(root), "witness")
}

// inside reports whether a path lies in a directory.
func inside(path, dir string) bool {
	p, err1 := filepath.Abs(path)
	d, err2 := filepath.Abs(dir)
	if err1 != nil || err2 != nil {
		return false
	}
	rel, err := filepath.Rel(d, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
