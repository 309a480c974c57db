package server

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// load reads a configuration from text, with an environment and flags.
func load(t *testing.T, text string, env, flags map[string]string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(Sources{File: path, Flags: flags, Env: func(key string) (string, bool) { v, ok := env[key]; return v, ok }})
}

func TestConfigPrecedence(t *testing.T) {
	file := `host = "file.example.com"
data = "/srv/file"
[limits]
connections = 7
`
	env := map[string]string{"POSTERN_DATA": "/srv/env", "POSTERN_LOG_LEVEL": "warn", "POSTERN_DNS_SERVERS": "192.0.2.1, 192.0.2.2"}
	c, err := load(t, file, env, map[string]string{"log.level": "debug"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Setting{}
	for _, s := range c.Settings() {
		got[s.Key] = s
	}
	for _, want := range []struct{ key, value, origin string }{
		{"host", "file.example.com", "postern.toml"},
		{"data", "/srv/env", "POSTERN_DATA"},
		{"log.level", "debug", "flag"},
		{"limits.connections", "7", "postern.toml"},
		{"dns.servers", "192.0.2.1,192.0.2.2", "POSTERN_DNS_SERVERS"},
		{"listen.smtp", ":25", "default"},
	} {
		s := got[want.key]
		if s.Value != want.value || filepath.Base(s.Origin) != want.origin {
			t.Errorf("%s: %q from %q, want %q from %q", want.key, s.Value, s.Origin, want.value, want.origin)
		}
	}
}

// TestConfigKeysAreAllListed holds that no setting of the file is missing in
// listings, variables and flags.
func TestConfigKeysAreAllListed(t *testing.T) {
	var file strings.Builder
	c := DefaultConfig()
	section := ""
	for _, s := range c.settings() {
		key := s.key
		if table, name, ok := strings.Cut(s.key, "."); ok {
			key = name
			if table != section {
				section = table
				file.WriteString("[" + table + "]\n")
			}
		}
		switch v := s.format(); {
		case s.key == "acme.directory":
			file.WriteString(`directory = "letsencrypt"` + "\n")
		case s.key == "host":
			file.WriteString(`host = "mail.example.com"` + "\n")
		case s.key == "dns.servers", s.key == "addresses", s.key == "acme.challenges", strings.HasPrefix(s.key, "proxy."):
			file.WriteString(key + " = []\n")
		case strings.HasPrefix(s.key, "limits."), s.key == "relay.port", s.key == "relay.policy_port",
			s.key == "relay.allow_private", s.key == "webhook.allow_private", s.key == "dns.trust_ad", s.key == "dns.check":
			file.WriteString(key + " = " + v + "\n")
		default:
			file.WriteString(key + ` = "` + v + `"` + "\n")
		}
	}
	c, err := load(t, file.String(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Settings() {
		if filepath.Base(s.Origin) != "postern.toml" {
			t.Errorf("%s is not a setting of the file: from %s", s.Key, s.Origin)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	const host = `host = "mail.example.com"` + "\n"
	for name, c := range map[string]struct{ file, key string }{
		"a host that is none":  {`host = "localhost"`, "host"},
		"a misspelt setting":   {host + `lisen = ":25"`, "lisen"},
		"an unknown table":     {host + "[panel]\nport = 1", "panel"},
		"an unknown sub-key":   {host + "[limits]\nconections = 3", "limits.conections"},
		"a wrong type":         {host + "[limits]\nconnections = \"many\"", ""},
		"no address":           {host + "[listen]\nsmtp = \"25\"", "listen.smtp"},
		"no directory":         {host + "[acme]\ndirectory = \"http://ca.example.com/dir\"", "acme.directory"},
		"acme without one":     {host + "[acme]\ncontact = \"ada@example.com\"", "acme.directory"},
		"no contact":           {host + "[acme]\ndirectory = \"letsencrypt\"\ncontact = \"ada\"", "acme.contact"},
		"no challenge":         {host + "[acme]\ndirectory = \"letsencrypt\"\nchallenges = [\"dns-02\"]", "acme.challenges"},
		"no address for files": {host + "[listen]\nhttp = \"80\"", "listen.http"},
		"no address of ours":   {host + "addresses = [\"mail.example.com\"]", "addresses"},
		"no address for names": {host + "[listen]\ndns = \"53\"", "listen.dns"},
		"no zone":              {host + "[listen]\ndns = \":53\"\n[dns]\nzone = \"a b\"", "dns.zone"},
		"a zone for nobody":    {host + "[dns]\nzone = \"keys.example.com\"", "dns.zone"},
		"root key in the data": {host + "data = \"/srv/p\"\n[keys]\nroot = \"/srv/p/root.key\"", "keys.root"},
		"witness in the data":  {host + "data = \"/srv/p\"\n[keys]\nwitness = \"/srv/p/x/witness\"", "keys.witness"},
		"half a certificate":   {host + "[tls]\ncert = \"/c.pem\"", "tls.cert"},
		"half an account":      {host + "[relay]\nsmarthost = \"s.example.net:587\"\nuser = \"u\"", "relay.user"},
		"smart host, no port":  {host + "[relay]\nsmarthost = \"s.example.net\"", "relay.smarthost"},
		"a level that is none": {host + "[log]\nlevel = \"loud\"", "log.level"},
		"a negative limit":     {host + "[limits]\nper_network = -1", "limits"},
		"a balancer by name":   {host + "[proxy]\nfrom = [\"lb.example.com\"]", "proxy.from"},
		"everybody a balancer": {host + "[proxy]\nfrom = [\"0.0.0.0/0\"]", "proxy.from"},
		"a door that is none":  {host + "[proxy]\nfrom = [\"10.0.0.0/8\"]\nlisteners = [\"pop3\"]", "proxy.listeners"},
		"a balancer for names": {host + "[proxy]\nfrom = [\"10.0.0.0/8\"]\nlisteners = [\"dns\"]", "proxy.listeners"},
		"doors and no one":     {host + "[proxy]\nlisteners = [\"smtp\"]", "proxy.listeners"},
		"not TOML":             {`host = `, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.file, nil, nil)
			var bad *ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("%v is no ConfigError", err)
			}
			if c.key != "" && bad.Key != c.key {
				t.Errorf("blames %q, want %q: %v", bad.Key, c.key, err)
			}
		})
	}
}

func TestConfigBadVariable(t *testing.T) {
	_, err := load(t, `host = "mail.example.com"`, map[string]string{"POSTERN_LIMITS_CONNECTIONS": "many"}, nil)
	if err == nil || !strings.Contains(err.Error(), "POSTERN_LIMITS_CONNECTIONS") {
		t.Errorf("%v does not name the variable", err)
	}
}

// TestWitnessIsBesideTheRootKey: an older copy of the data must not bring its
// witness along. // invariant 11
func TestWitnessIsBesideTheRootKey(t *testing.T) {
	c := DefaultConfig()
	if got := c.WitnessFile(); got != "/etc/postern/witness" {
		t.Errorf("the witness is at %s", got)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "root.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	c = DefaultConfig()
	if want := filepath.Join(dir, "root.key"); c.Keys.Root != want {
		t.Errorf("with a credential of systemd, the root key is at %s", c.Keys.Root)
	}
	if got := c.WitnessFile(); got != "/var/lib/postern-witness/witness" {
		t.Errorf("with a credential of systemd, the witness is at %s", got)
	}
}

// TestEverySettingIsCovered holds that what the file may say is in listings, variables and flags, that the manual says
// what it is for, and that the packaged file names it, with a value that can be read.
func TestEverySettingIsCovered(t *testing.T) {
	c := DefaultConfig()
	listed := map[string]bool{}
	for _, x := range c.Settings() {
		listed[x.Key] = true
		if x.About == "" {
			t.Errorf("nobody says what %s is for", x.Key)
		}
	}
	fields := tomlKeys(reflect.TypeFor[Config](), "")
	for _, key := range fields {
		if !listed[key] {
			t.Errorf("%s is in the file and in no listing", key)
		}
	}
	if len(fields) != len(listed) {
		t.Errorf("%d settings are listed, and the file has %d", len(listed), len(fields))
	}
	packaged, err := os.ReadFile(filepath.Join("..", "packaging", "postern.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^# (\w+ +=|\w+ =|\[\w+\])`).ReplaceAllString(string(packaged), "$1")
	meta, err := toml.Decode(text, &c)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("the packaged file without its comments: %v, %v", meta.Undecoded(), err)
	}
	for key := range listed {
		if !meta.IsDefined(strings.Split(key, ".")...) {
			t.Errorf("packaging/postern.toml does not name %s", key)
		}
	}
}

// tomlKeys are the settings below a type, as "listen.smtp".
func tomlKeys(of reflect.Type, prefix string) (keys []string) {
	for f := range of.Fields() {
		name := f.Tag.Get("toml")
		switch {
		case name == "" || name == "-":
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, tomlKeys(f.Type, prefix+name+".")...)
		default:
			keys = append(keys, prefix+name)
		}
	}
	return keys
}
