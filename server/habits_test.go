package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Habits that a reader of one file would not see broken. The files are parsed
// here and now: a test that asks another program is cached by what it read itself.

// parsed calls fn for each Go file of the module with its bodies.
func parsed(t *testing.T, tests bool, fn func(path string, fset *token.FileSet, f *ast.File)) {
	t.Helper()
	for _, sf := range module(t) {
		if sf.test && !tests {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join("..", sf.path), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.IsGenerated(f) { // its source is the template
			fn(sf.path, fset, f)
		}
	}
}

// longest is how many lines a function may have. Most have ten; what separates
// code that can be followed from the rest is the tail.
const longest = 90

// TestFunctionsAreShort holds the tail.
func TestFunctionsAreShort(t *testing.T) {
	parsed(t, false, func(path string, fset *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > longest {
				t.Errorf("%s: %s has %d lines, and %d is the limit", path, fn.Name.Name, n, longest)
			}
		}
	})
}

// TestExportedNamesAreDocumented holds that what other packages use says what it
// is.
func TestExportedNamesAreDocumented(t *testing.T) {
	parsed(t, false, func(path string, fset *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !wellKnown[d.Name.Name] {
					t.Errorf("%s: %s is not documented", fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(t, fset, d)
			}
		}
	})
}

// wellKnown are methods whose name and signature say it all, by an interface of
// the standard library.
var wellKnown = map[string]bool{"Error": true, "Unwrap": true, "String": true, "Write": true, "Read": true,
	"Len": true, "Less": true, "Swap": true, "MarshalJSON": true, "UnmarshalJSON": true}

// exportedReceiver reports whether a function is reached from outside: it is no
// method, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumented reports exported types without a comment, and groups of exported
// constants and variables of which neither the group nor the name has one. The
// values of a type are documented by it.
func undocumented(t *testing.T, fset *token.FileSet, d *ast.GenDecl) {
	if v, ok := d.Specs[0].(*ast.ValueSpec); ok && d.Tok == token.CONST && v.Type != nil {
		return
	}
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				t.Errorf("%s: %s is not documented", fset.Position(s.Pos()), s.Name.Name)
			}
		case *ast.ValueSpec:
			if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				t.Errorf("%s: %s is not documented", fset.Position(s.Pos()), s.Names[0].Name)
			}
		}
	}
}

// unfinished are marks that somebody meant to come back.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

// TestNothingIsLeftForLater holds that the code does not apologise: what is
// missing is said where its users look, or is a plan outside of the code.
func TestNothingIsLeftForLater(t *testing.T) {
	for _, sf := range module(t) {
		if strings.HasSuffix(sf.path, filepath.Join("server", "habits_test.go")) {
			continue
		}
		b, err := os.ReadFile(filepath.Join("..", sf.path))
		if err != nil {
			t.Fatal(err)
		}
		if m := unfinished.Find(b); m != nil {
			t.Errorf("%s: %s", sf.path, m)
		}
	}
}

// queueDoors are the only files that put mail into the queue. Whatever an agent
// causes to be sent comes through the one gate; what the server itself writes has
// the null return path and goes to people.
var queueDoors = map[string]string{
	"server/submission/submit.go": "after policy.Submit, in its transaction",
	"server/queue/post.go":        "alerts, to addresses that people named in a policy",
}

// TestPI8_OneGate: there is no other way into the queue (invariant 7).
func TestPI8_OneGate(t *testing.T) {
	used := map[string]bool{}
	parsed(t, false, func(path string, fset *token.FileSet, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "CreateOutgoing" {
				used[path] = true
				if queueDoors[path] == "" {
					t.Errorf("%s puts mail into the queue beside the gate", fset.Position(n.Pos()))
				}
			}
			return true
		})
	})
	for path := range queueDoors {
		if !used[path] {
			t.Errorf("%s puts nothing into the queue any more: take it from the list", path)
		}
	}
}
