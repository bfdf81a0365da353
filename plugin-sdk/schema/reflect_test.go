package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/plugin-sdk/schema"
)

func TestOfKeepsDescriptionsAndDefaults(t *testing.T) {
	doc, err := schema.Of[camera]()
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Schema     string `json:"$schema"`
		Properties map[string]struct {
			Description string `json:"description"`
			Default     any    `json:"default"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	if v.Properties["rtspUrl"].Description != "where the stream is" || v.Properties["fixFrame"].Default != 30.0 || !strings.Contains(v.Schema, "2020-12") {
		t.Errorf("schema %s", doc)
	}
}
