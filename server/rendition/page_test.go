package rendition

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"postern/server/message"
)

// corpus is hostile mail, which the panel's tests show in every place, too.
const corpus = "../servertest/testdata/hostile"

// pageOf renders bytes of a message.
func pageOf(t testing.TB, raw []byte) []byte {
	t.Helper()
	r := bytes.NewReader(raw)
	page, err := Page(Source{View: r, Structure: message.Parse(r, r.Size())})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// TestPage_HostileMail: the page of each message of the corpus has nothing that is not
// on the list. What is in the golden files was looked at.
func TestPage_HostileMail(t *testing.T) {
	files, err := filepath.Glob(corpus + "/*.eml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page := pageOf(t, raw)
		for _, wrong := range offences(page) {
			t.Errorf("%s: %s", file, wrong)
		}
		golden := filepath.Join("testdata", "page", strings.TrimSuffix(filepath.Base(file), ".eml")+".html")
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(golden, page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(page, want) {
			t.Errorf("%s is not what %s says: %v", file, golden, err)
		}
	}
}

// TestPage_Bounds: what is long, deep and many stays small, and costs no more than it is
// long.
func TestPage_Bounds(t *testing.T) {
	head := "Content-Type: text/html\r\n\r\n"
	for name, body := range map[string]string{
		"deep":       head + strings.Repeat("<div>", 200_000),
		"attributes": head + "<p " + strings.Repeat("style='color:red' ", 50_000) + ">x",
		"styles":     head + "<p style='" + strings.Repeat("color:red;", 50_000) + "'>x",
		"formatting": head + strings.Repeat("<b><i><u>", 50_000) + "x",
		"pictures":   head + strings.Repeat("<img src=cid:a>", 20_000),
		"one word":   head + strings.Repeat("x", 5<<20),
		"open":       head + strings.Repeat("<", 500_000),
		"entities":   head + strings.Repeat("&#38;", 200_000),
	} {
		page := pageOf(t, []byte(body))
		if len(page) > 12*maxPage {
			t.Errorf("%s: a page of %d bytes", name, len(page))
		}
		for _, wrong := range offences(page) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// TestPage_Pictures: a picture that came along is shown, unless it has markup inside.
func TestPage_Pictures(t *testing.T) {
	raw, err := os.ReadFile(corpus + "/attachments.eml")
	if err != nil {
		t.Fatal(err)
	}
	page := string(pageOf(t, raw))
	if n := strings.Count(page, "data:image/png;base64,iVBOR"); n != 2 {
		t.Errorf("the picture is shown %d times: %s", n, page)
	}
	if strings.Contains(page, "svg") || strings.Contains(page, "data:text") {
		t.Errorf("a picture has markup: %s", page)
	}
}

// offences are what a page has that is not on the list, as a browser's parser reads it.
func offences(page []byte) (wrong []string) {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	allowed := append(slices.Clone(pageElements), "html", "head", "body", "meta", "title", "style")
	for n := range root.Descendants() {
		if n.Type == html.CommentNode {
			wrong = append(wrong, "a comment: "+n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		if n.Namespace != "" || !slices.Contains(allowed, n.Data) {
			wrong = append(wrong, "an element "+n.Namespace+" "+n.Data)
		}
		if inHead := n.Data == "meta" || n.Data == "title" || n.Data == "style"; inHead && (n.Parent == nil || n.Parent.Data != "head") {
			wrong = append(wrong, n.Data+" outside of the head")
		}
		for _, a := range n.Attr {
			if why := offence(n.Data, a); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s %s=%.80q: %s", n.Data, a.Key, a.Val, why))
			}
		}
	}
	return wrong
}

// offence says what is wrong with an attribute.
func offence(element string, a html.Attribute) string {
	switch a.Key {
	case "alt", "dir", "lang", "align", "valign", "width", "height", "colspan", "rowspan", "cellpadding", "cellspacing", "border", "span", "start", "bgcolor", "color", "size", "charset":
		return ""
	case "style":
		if v := strings.ToLower(a.Val); strings.ContainsAny(v, "\\<>@*") || strings.Contains(v, "url") || strings.Contains(v, "expression") || strings.Contains(v, "position") || strings.Contains(v, "//") {
			return "a style that could lead out"
		}
		return ""
	case "src":
		if element != "img" || !harmlessData(a.Val) {
			return "an address"
		}
		return ""
	}
	return "not on the list"
}

func harmlessData(uri string) bool {
	if uri == "data:," {
		return true
	}
	kind, text, ok := strings.Cut(strings.TrimPrefix(uri, "data:"), ";base64,")
	_, err := base64.StdEncoding.DecodeString(text)
	return ok && rasters[kind] && err == nil
}

// FuzzPage holds the list for whatever HTML there may be, and for what a second parsing
// makes of the first: markup that changes its meaning each time is how sanitisers are
// passed.
func FuzzPage(f *testing.F) {
	files, err := filepath.Glob(corpus + "/*.eml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(raw) < 4<<10 {
			f.Add(raw)
			if _, body, ok := bytes.Cut(raw, []byte("\n\n")); ok {
				f.Add(append([]byte("Content-Type: text/html\n\n"), body...))
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		page := pageOf(t, raw)
		for _, wrong := range offences(page) {
			t.Errorf("%s\nof %q", wrong, page)
		}
		root, err := html.Parse(bytes.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := html.Render(&again, root); err != nil {
			return // nested too deeply to be written
		}
		for _, wrong := range offences(again.Bytes()) {
			t.Errorf("after a second parsing: %s\nof %q", wrong, again.Bytes())
		}
		if _, _, err := Text(Source{View: bytes.NewReader(raw), Structure: message.Parse(bytes.NewReader(raw), int64(len(raw)))}, 4096); err != nil {
			t.Error(err)
		}
	})
}
