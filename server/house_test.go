package server_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors is the house: a package imports Postern's packages from lower floors
// only. See the package comment of server for what each room owns.
var floors = map[string]int{
	"server/httpd":  0,
	"storage/audit": 1, "storage/seal": 1, "dkim": 1, "dns": 1, "server/message": 1, "server/metrics": 1, "server/proxy": 1, "web/ui": 1,
	"storage": 2, "server/msgauth": 2, "server/injection": 2, "server/rendition": 2, "dns/zone": 2,
	"server/policy": 3, "server/directory": 3, "server/queue": 3, "server/webhook": 3, "server/monitor": 3, "server/retention": 3,
	"server/acme": 3, "server/report": 3, "dns/nameserver": 3,
	"server/delivery": 4, "server/submission": 4, "server/relay": 4, "server/setup": 4,
	"server/smtpd": 5, "server/imapd": 5, "web": 5, "server/control": 5,
	"web/panel": 6, "web/ui/chart": 2,
	"server":      7,
	"cmd/postern": 8, "server/servertest": 8, "cmd/injection-train": 3,
	"packaging/release": 1,
}

// sourceFile is one Go file of the module, parsed without its bodies.
type sourceFile struct {
	room    string // folder below the module's root
	path    string
	name    string // package name
	imports []string
	doc     string
	test    bool
}

func module(t *testing.T) []sourceFile {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var files []sourceFile
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || path != root && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		sf := sourceFile{room: filepath.ToSlash(filepath.Dir(rel)), path: rel, name: f.Name.Name, test: strings.HasSuffix(path, "_test.go")}
		if f.Doc != nil {
			sf.doc = f.Doc.Text()
		}
		for _, imp := range f.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			sf.imports = append(sf.imports, p)
		}
		files = append(files, sf)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestFloors holds the direction of imports.
func TestFloors(t *testing.T) {
	for _, f := range module(t) {
		floor, known := floors[f.room]
		if !known {
			t.Errorf("%s: the house has no room %q", f.path, f.room)
			continue
		}
		if f.test {
			continue // a test may stand on a whole server
		}
		for _, imp := range f.imports {
			room, ours := strings.CutPrefix(imp, "postern/")
			if !ours {
				continue
			}
			if floors[room] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", f.path, floor, room, floors[room])
			}
			for _, low := range []string{"storage", "dkim", "dns"} {
				if inTree(f.room, low) && (inTree(room, "server") || inTree(room, "web")) {
					t.Errorf("%s: %s never imports from %s", f.path, low, room)
				}
			}
		}
	}
}

func inTree(room, top string) bool { return room == top || strings.HasPrefix(room, top+"/") }

// TestPackageComments holds that each package has exactly one comment, which teaches.
func TestPackageComments(t *testing.T) {
	docs := map[string][]string{}
	for _, f := range module(t) {
		if f.test || strings.HasSuffix(f.path, "_templ.go") { // generated, with a remark of its maker's
			continue
		}
		docs[f.room] = append(docs[f.room], f.doc)
	}
	for room, all := range docs {
		all = slices.DeleteFunc(all, func(d string) bool { return d == "" })
		if len(all) != 1 {
			t.Errorf("%s has %d package comments, want one", room, len(all))
			continue
		}
		if len(strings.Fields(all[0])) < 20 {
			t.Errorf("%s: its package comment teaches nothing: %q", room, all[0])
		}
	}
}

// TestNames holds that no room is called after nothing in particular.
func TestNames(t *testing.T) {
	for _, f := range module(t) {
		for _, bad := range []string{"util", "utils", "common", "helpers", "helper", "manager", "service", "misc"} {
			if filepath.Base(f.room) == bad || strings.TrimSuffix(filepath.Base(f.path), ".go") == bad {
				t.Errorf("%s: %q says nothing", f.path, bad)
			}
		}
	}
}

// TestPinnedLibc holds modernc.org/libc at the version that modernc.org/sqlite was
// built with: another one breaks it in ways that tests see late.
func TestPinnedLibc(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"modernc.org/sqlite v1.61.1", "modernc.org/libc v1.79.0"} {
		if !strings.Contains(string(mod), want) {
			t.Errorf("go.mod does not pin %s", want)
		}
	}
}
