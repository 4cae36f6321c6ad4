{{- /* The sections of all pages: a script and not JSON, which a browser does not load from a folder. */ -}}
{{- $sections := slice -}}
{{- range where site.RegularPages "Kind" "page" -}}
{{- $url := strings.TrimPrefix "/" .RelPermalink -}}
{{- $page := index (findRE `<h1[^>]*>.*?</h1>` .Content 1) 0 | plainify | htmlUnescape -}}
{{- range $i, $part := split .Content `<h2 id="` -}}
{{- $section := dict "url" $url "page" $page "heading" "" "text" (plainify $part | htmlUnescape) -}}
{{- if $i -}}
{{- $id := index (split $part `"`) 0 -}}
{{- $text := substr $part (add (strings.Count "" $id) 1) -}}
{{- $heading := index (split $text "</h2>") 0 | plainify | htmlUnescape -}}
{{- $section = dict "url" (print $url "#" $id) "page" $page "heading" $heading "text" (plainify $text | htmlUnescape) -}}
{{- end -}}
{{- $sections = $sections | append $section -}}
{{- end -}}
{{- end -}}
const sections = {{ $sections | jsonify }};
