#!/bin/sh
# Makes the certificates beside it anew, with OpenSSL. The authority's key is thrown away: to add one, make them all.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/ca.cnf" <<END
[ca]
default_ca = authority
[authority]
database = $work/index
serial = $work/serial
new_certs_dir = $work
certificate = authority.pem
private_key = $work/authority.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
END
touch "$work/index"
echo 01 > "$work/serial"

# name, extension, first and last day, more options
sign() {
  name=$1 extension=$2 first=$3 last=$4
  shift 4
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$name.key"
  openssl req -new -key "$work/$name.key" -subj "/CN=run-watchdog test $name" -out "$work/$name.csr"
  echo "$extension" > "$work/$name.ext"
  openssl ca -batch -notext -config "$work/ca.cnf" -in "$work/$name.csr" -out "$name.pem" \
    -extfile "$work/$name.ext" -startdate "${first}000000Z" -enddate "${last}000000Z" "$@"
}

sign authority basicConstraints=critical,CA:TRUE 20200101 21200101 -selfsign
sign server subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 20200101 21200101
sign elsewhere subjectAltName=DNS:elsewhere.example 20200101 21200101
sign expired subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 20200101 20200102
sign self-signed subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 20200101 21200101 \
  -selfsign -keyfile "$work/self-signed.key"
for name in server elsewhere expired self-signed; do
  cat "$work/$name.key" > "$name.key"
done
