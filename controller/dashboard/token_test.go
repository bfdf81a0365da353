package dashboard_test

import (
	"testing"

	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/controller/dashboard"
)

// refusals counts the answers that ask for a token.
const refusals = `String(performance.getEntriesByType("resource").filter((e) => e.responseStatus === 401).length)`

// A server with a token is asked once per request and then left alone until the form has been filled in; what was asked for
// is then answered.
func TestABrowserAsksForTheTokenOnce(t *testing.T) {
	b := openBrowser(t)
	w := controllertest.NewWorld(t, controllertest.WorldConfig{Token: "geheim", Page: dashboard.Handler(), Worker: controllertest.Worker("demo", "1.0.0", "Demo")})
	b.goTo(w.URL + "/dashboard")
	submit := func(token string) {
		t.Helper()
		b.eval(`void (() => { const f = document.querySelector("#token"); f.elements.namedItem("token").value = "` + token + `"; f.requestSubmit(); })()`)
	}
	asked := `String(document.querySelector("#token")?.checkVisibility())`
	b.becomes(asked, "true")
	b.becomes(refusals, "5")                                      // four reads and the stream
	b.eval(`new Promise((resolve) => setTimeout(resolve, 2500))`) // in which it could have asked twice more
	if got := b.eval(refusals); got != "5" {
		t.Errorf("while somebody looks for the token the server was asked %s times", got)
	}
	b.picture("token")
	submit("wrong")
	b.shows("The server has refused this token.")
	b.becomes(refusals, "10")
	submit("nicht für ASCII")
	b.becomes(asked, "true")
	submit(" geheim ")
	b.shows("node-1", "1 of 1 nodes online", ">live<")
	b.becomes(asked, "false")
	if got := b.eval(refusals); got != "10" {
		t.Errorf("%s requests were refused", got)
	}
	b.do("Page.reload", nil, nil)
	b.shows("node-1", "1 of 1 nodes online", ">live<")
	if b.eval(refusals) != "0" || b.eval(asked) != "false" {
		t.Error("the token is not kept in the tab")
	}
}
