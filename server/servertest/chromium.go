package servertest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium is the one browser of a test binary. Starting it takes a second, so it
// stays until CloseChromium; each tab has cookies of its own.
//
// All that it asks for goes through a proxy of ours, which knows the panels of the
// laboratory by their names and leads nowhere else: what a page wants from elsewhere
// is seen there, whichever way the page found to ask for it.
var chromium struct {
	sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	proxy  net.Listener
	key    *ecdsa.PrivateKey // of every certificate that it trusts
	panels map[string]string // host:port to the address where it is
	strays []string          // what else was asked for
}

// startChromium has the browser running.
func startChromium(t testing.TB) context.Context {
	t.Helper()
	path := tool(t, "chromium", "chromium")
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil {
		return chromium.ctx
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	if chromium.proxy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go acceptAll(chromium.proxy)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.ProxyServer("http://"+chromium.proxy.Addr().String()),
		chromedp.Flag("proxy-bypass-list", "<-loopback>"), // not even for loopback
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(sum[:])),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter,AutofillServerCommunication"),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.DisableGPU,
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to have one as root
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		stop()
		t.Fatalf("chromium does not start: %v", err)
	}
	chromium.ctx, chromium.cancel, chromium.key, chromium.panels = ctx, func() { cancel(); stop() }, key, map[string]string{}
	return ctx
}

// CloseChromium ends the browser, if there is one. TestMain calls it.
func CloseChromium() {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx == nil {
		return
	}
	chromium.cancel()
	chromium.proxy.Close()
	chromium.ctx = nil
}

// introduce makes a panel known to the browser, with a certificate that it trusts. One
// that had no name at its start keeps its own, and is found at its address.
func introduce(t testing.TB, p *Postern) (origin string) {
	t.Helper()
	chromium.Lock()
	defer chromium.Unlock()
	addr := p.Addr("panel").String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	if p.unnamed {
		chromium.panels[addr] = addr
		return "https://" + addr
	}
	cert, err := p.World.certify(chromium.key, p.Host)
	if err != nil {
		t.Fatal(err)
	}
	p.certified.Store(cert)
	host := net.JoinHostPort(p.Host, port)
	chromium.panels[host] = addr
	return "https://" + host
}

// strays are what was asked for since there were n of them, other than the panels.
func strays(n int) []string {
	chromium.Lock()
	defer chromium.Unlock()
	return slices.Clone(chromium.strays[n:])
}

// itself are the hosts that Chromium asks on its own account, for updates and the
// like. No page of ours and no mail of a test names them.
var itself = regexp.MustCompile(`(^|\.)(google|googleapis|gstatic|gvt1)\.com$`)

func acceptAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go proxied(c)
	}
}

// proxied leads one connection to the panel that it asks for (RFC 9110, section 9.3.6).
func proxied(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	q, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	chromium.Lock()
	addr, known := chromium.panels[q.Host]
	if !known || q.Method != http.MethodConnect {
		if !itself.MatchString(q.URL.Hostname()) {
			chromium.strays = append(chromium.strays, q.Method+" "+q.RequestURI)
		}
		chromium.Unlock()
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	chromium.Unlock()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(to, in)
		to.Close()
	}()
	io.Copy(c, to)
}
