// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/secmem.h"
#include "mikey/kms_xml.h"
#include "mikey/xml.h"
#include "tests/unit/key_wrap_reference.h"
#include "tests/unit/mikey_world.h"

#define NS "xmlns=\"" XML_NS_KMS "\""

static const uint8_t trk[32] = {0x11, 0x22, 0x33}, ink[32] = {0x44};
static const struct mikey_shared_key keys[] = {
	{.id = "trk.1.ingrid", .value = trk, .len = sizeof(trk)},
	{.id = "ink.1.ingrid", .value = ink, .len = sizeof(ink)},
};

// --- documents, of the keys of the corpus

static char document[XML_LEN_MAX * 2];

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *format, ...)
{
	const size_t len = strlen(document);
	va_list args;
	va_start(args, format);
	int n = vsnprintf(document + len, sizeof(document) - len, format, args);
	va_end(args);
	assert_in_range(n, 0, sizeof(document) - len - 1);
}

static const char *kms_text(const char *name, const char *what)
{
	char key[128];
	snprintf(key, sizeof(key), "kms_%s_%s", name, what);
	return vector_text(world.keys, key);
}

static void put_certificate(const char *name, const char *attributes)
{
	put("<KmsCertificate %s>\n  <CertUri>cert1.%s</CertUri><KmsUri>%s</KmsUri>\n"
	    "  <Issuer>Kreis &amp; Stadt</Issuer><ValidFrom>2026-01-01T00:00:00</ValidFrom>\n"
	    "  <ValidTo>2036-01-01T01:00:00+01:00</ValidTo><Revoked>false</Revoked>\n"
	    "  <UserIdFormat>2</UserIdFormat><UserKeyPeriod>%s</UserKeyPeriod>\n"
	    "  <UserKeyOffset>%s</UserKeyOffset>\n  <PubEncKey>%s</PubEncKey>\n"
	    "  <PubAuthKey>\n    %s\n  </PubAuthKey><ParameterSet>1</ParameterSet>\n"
	    "  <KmsDomainList><KmsDomain>a.example</KmsDomain><KmsDomain>b.example</KmsDomain>"
	    "</KmsDomainList>\n</KmsCertificate>\n",
		attributes, name, kms_text(name, "uri"), kms_text(name, "user_key_period"),
		kms_text(name, "user_key_offset"), kms_text(name, "Z"), kms_text(name, "KPAK"));
}

enum form { HEX, BASE64, WRAPPED, WRAPPED_PADDED, WRAPPED_HEX };

static void put_base64(const uint8_t *octets, size_t len)
{
	char text[512];
	base64_encode(octets, len, text);
	put("%.60s\n  %s", text, strlen(text) > 60 ? text + 60 : "");
}

static void put_wrapped(
	enum form form, const char *key, const uint8_t *octets, size_t len, const char *carried)
{
	uint8_t wrapped[KEY_WRAP_MAX + 8];
	char hex[2 * sizeof(wrapped) + 1];
	size_t n = key_wrap_by_openssl(form == WRAPPED_PADDED ? KEY_WRAP_AES_PADDED : KEY_WRAP_AES,
		trk, octets, len, wrapped);
	put("<EncryptedKey xmlns=\"" XML_NS_ENC "\"><EncryptionMethod Algorithm=\"%s\"/>"
	    "<ds:KeyInfo xmlns:ds=\"" XML_NS_DSIG "\"><ds:KeyName>\n     %s </ds:KeyName>"
	    "</ds:KeyInfo><CipherData><CipherValue>",
		form == WRAPPED_PADDED ? "http://www.w3.org/2009/xmlenc11#kw-aes-256-pad"
				       : "http://www.w3.org/2001/04/xmlenc#kw-aes256",
		key);
	hex_encode(wrapped, n, hex);
	if (form == WRAPPED_HEX)
		put("%s", hex);
	else
		put_base64(wrapped, n);
	put("</CipherValue></CipherData>");
	if (carried)
		put("<CarriedKeyName>%s</CarriedKeyName>", carried);
	put("</EncryptedKey>");
}

static void put_key(enum form form, const uint8_t *octets, size_t len)
{
	char hex[2 * SAKKE_POINT_LEN + 1];
	hex_encode(octets, len, hex);
	if (form == HEX)
		put("%s", hex);
	else if (form == BASE64)
		put_base64(octets, len);
	else
		put_wrapped(form, "trk.1.ingrid", octets, len, NULL);
}

struct facts {
	const struct named_identity *identity;
	const struct mikey_key_set *set;
	uint8_t rsk[SAKKE_POINT_LEN], ssk[ECCSI_SCALAR_LEN], pvt[ECCSI_POINT_LEN];
};

static void fact_read(const struct facts *f, const char *what, uint8_t *out, size_t len)
{
	char key[128];
	snprintf(key, sizeof(key), "id_%s_%llu_%s", f->identity->name,
		(unsigned long long)f->set->period_no, what);
	assert_int_equal(vector_octets(world.keys, key, out, len), len);
}

static struct facts facts_of(const char *name)
{
	struct facts f = {.identity = identity_named(name)};
	f.set = &f.identity->sets[0];
	fact_read(&f, "rsk", f.rsk, sizeof(f.rsk));
	fact_read(&f, "ssk", f.ssk, sizeof(f.ssk));
	fact_read(&f, "pvt", f.pvt, sizeof(f.pvt));
	return f;
}

// Elements in another order than that of the schema, with some that are not of it.
static void put_key_set(const char *name, enum form form)
{
	const struct facts f = facts_of(name);
	char uid[2 * MCX_UID_LEN + 1];
	hex_encode(f.set->uid, MCX_UID_LEN, uid);
	put("<KmsKeySet Version=\"1.1.0\"><v:Colour xmlns:v=\"urn:vendor\">red</v:Colour>"
	    "<UserUri>%.*s</UserUri><KmsUri> %.*s </KmsUri><KeyPeriodNo>%llu</KeyPeriodNo>",
		(int)f.identity->local.uri.len, (const char *)f.identity->local.uri.octets,
		(int)f.identity->kms->kms.uri.len, (const char *)f.identity->kms->kms.uri.octets,
		(unsigned long long)f.set->period_no);
	put("<UserPubTokenPVT>");
	put_key(form, f.pvt, sizeof(f.pvt));
	put("</UserPubTokenPVT><UserDecryptKey>");
	put_key(form, f.rsk, sizeof(f.rsk));
	put("</UserDecryptKey><UserSigningKeySSK>");
	put_key(form, f.ssk, sizeof(f.ssk));
	put("</UserSigningKeySSK><UserID>");
	if (form == BASE64)
		put_base64(f.set->uid, MCX_UID_LEN);
	else
		put("%s", uid);
	put("</UserID></KmsKeySet>");
}

static void response_begin(const char *what)
{
	document[0] = '\0';
	put("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<KmsResponse Version=\"1.0.0\" " NS
	    "><UserUri>sip:ingrid@example</UserUri><KmsUri>kms</KmsUri>"
	    "<Time>2026-11-28T22:00:00</Time><KmsId>a</KmsId><ClientReqUrl>http://kms</"
	    "ClientReqUrl>"
	    "<KmsMessage><%s>",
		what);
}

static void response_end(const char *what)
{
	put("</%s></KmsMessage></KmsResponse>\n", what);
}

static void expect_read(struct kms_xml *out)
{
	struct mikey_fault fault = {};
	if (!kms_xml_read(document, strlen(document), keys, 2, out, &fault))
		fail_msg("%s: %s", mikey_reason_slug(fault.reason), fault.text);
}

// --- what is read

static void certificate_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *name, *attributes;
		enum kms_certificate_role role;
		bool gateway;
	} rows[] = {
		{"home", "Version=\"1.1.0\" Role=\"Root\" " NS, KMS_CERTIFICATE_ROOT, false},
		{"partner", "Role=\"External\" IsSecurityGateway=\"false\" " NS,
			KMS_CERTIFICATE_EXTERNAL, false},
		{"segy", "Version=\"1.2.0\" Role=\"Home\" IsSecurityGateway=\"true\" " NS,
			KMS_CERTIFICATE_ROOT, true},
		{"later", NS, KMS_CERTIFICATE_ROLE_NONE, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct kms_xml out;
		const struct mikey_kms *kms = &kms_named(rows[i].name)->kms;
		struct sakke_kms *sakke;
		document[0] = '\0';
		put_certificate(rows[i].name, rows[i].attributes);
		expect_read(&out);
		assert_int_equal(out.n_certificates, 1);
		assert_int_equal(out.n_key_sets + out.n_new_keys, 0);
		const struct kms_certificate *c = out.certificates;
		assert_int_equal(c->role, rows[i].role);
		assert_int_equal(c->security_gateway, rows[i].gateway);
		assert_false(c->revoked);
		assert_int_equal(strlen(c->kms_uri), kms->uri.len);
		assert_memory_equal(c->kms_uri, kms->uri.octets, kms->uri.len);
		assert_string_equal(c->issuer, "Kreis & Stadt");
		assert_int_equal(c->valid_from, 1767225600);
		assert_int_equal(c->valid_to, 2082758400);
		assert_int_equal(c->period, kms->period);
		assert_int_equal(c->offset, kms->offset);
		assert_memory_equal(c->kpak, kms->kpak, sizeof(c->kpak));
		assert_int_equal(sakke_kms_make(c->z, &sakke), SAKKE_OK);
		sakke_kms_free(sakke);
		assert_int_equal(c->n_domains, 2);
		assert_string_equal(c->domains[1], "b.example");
		kms_xml_free(&out);
	}
}

static void expect_set(const struct kms_key_set *set, const char *name)
{
	const struct facts f = facts_of(name);
	const struct eccsi_signer signer = {
		.kpak = f.identity->kms->kms.kpak, .id = set->uid, .id_len = MCX_UID_LEN};
	struct sakke_receiver *receiver;
	assert_string_equal(set->user_uri, (const char *)f.identity->local.uri.octets);
	assert_string_equal(set->kms_uri, (const char *)f.identity->kms->kms.uri.octets);
	assert_memory_equal(set->uid, f.set->uid, MCX_UID_LEN);
	assert_int_equal(set->period_no, f.set->period_no);
	assert_int_equal(eccsi_ssk_validate(&signer, set->secrets->ssk, set->pvt), ECCSI_OK);
	assert_int_equal(sakke_receiver_make(f.identity->kms->sakke, set->uid, MCX_UID_LEN,
				 set->secrets->rsk, &receiver),
		SAKKE_OK);
	sakke_receiver_free(receiver);
}

static void key_sets_are_read_in_every_form(void **state)
{
	(void)state;
	static const char *const names[] = {"ingrid", "ulf", "tarek", "partner_user", "segy_user"};
	struct kms_xml out;
	response_begin("KmsKeyProv");
	for (int form = HEX; form <= WRAPPED_HEX; form++)
		put_key_set(names[form], (enum form)form);
	put("<v:Other xmlns:v=\"urn:vendor\"><KmsKeySet/></v:Other><NewTransportKey>");
	put_wrapped(WRAPPED, "trk.1.ingrid", ink, sizeof(ink), "trk.2.ingrid");
	put("</NewTransportKey><NewIntegrityKey>");
	put_wrapped(WRAPPED_PADDED, "trk.1.ingrid", trk, sizeof(trk), "ink.2.ingrid");
	put("</NewIntegrityKey>");
	response_end("KmsKeyProv");
	expect_read(&out);
	assert_int_equal(out.n_key_sets, 5);
	for (int form = HEX; form <= WRAPPED_HEX; form++)
		expect_set(&out.key_sets[form], names[form]);
	assert_int_equal(out.n_new_keys, 2);
	assert_string_equal(out.new_keys[0].id, "trk.2.ingrid");
	assert_false(out.new_keys[0].integrity);
	assert_memory_equal(out.new_keys[0].value, ink, sizeof(ink));
	assert_string_equal(out.new_keys[1].id, "ink.2.ingrid");
	assert_true(out.new_keys[1].integrity);
	assert_memory_equal(out.new_keys[1].value, trk, sizeof(trk));
	assert_int_equal(out.signature, MIKEY_UNSIGNED);
	kms_xml_free(&out);
}

static void every_message_is_read(void **state)
{
	(void)state;
	static const char *const whats[] = {"KmsInit", "KmsCertCache", "KmsKeyProv"};
	for (size_t i = 0; i < 3; i++) {
		struct kms_xml out;
		response_begin(whats[i]);
		put_certificate("home", "Role=\"Root\"");
		put("<SignedKmsCertificate Id=\"c\">");
		put_certificate("partner", "Role=\"External\"");
		put("</SignedKmsCertificate>");
		response_end(whats[i]);
		expect_read(&out);
		assert_int_equal(out.n_certificates, 2);
		assert_string_equal(out.certificates[0].cert_uri, "cert1.home");
		assert_string_equal(out.certificates[1].cert_uri, "cert1.partner");
		kms_xml_free(&out);
		document[0] = '\0';
		put("<k:%s xmlns:k=\"" XML_NS_KMS "\"/>", whats[i]);
		expect_read(&out);
		assert_int_equal(out.n_certificates + out.n_key_sets, 0);
		kms_xml_free(&out);
	}
}

// --- what is written

static void expect_same(const struct kms_certificate *c, const struct kms_certificate *d)
{
	assert_int_equal(c->role, d->role);
	assert_int_equal(c->security_gateway, d->security_gateway);
	assert_int_equal(c->revoked, d->revoked);
	assert_string_equal(c->kms_uri, d->kms_uri);
	assert_int_equal(c->valid_from, d->valid_from);
	assert_int_equal(c->valid_to, d->valid_to);
	assert_int_equal(c->period, d->period);
	assert_int_equal(c->offset, d->offset);
	assert_memory_equal(c->z, d->z, sizeof(c->z));
	assert_memory_equal(c->kpak, d->kpak, sizeof(c->kpak));
	assert_int_equal(c->n_domains, d->n_domains);
	for (size_t i = 0; i < c->n_domains; i++)
		assert_string_equal(c->domains[i], d->domains[i]);
}

static void written_certificate_is_read(void **state)
{
	(void)state;
	const char *domains[] = {"a&b.example", "caf\xc3\xa9.example"};
	for (unsigned i = 0; i < 4; i++) {
		struct kms_certificate c = {
			.role = i & 1 ? KMS_CERTIFICATE_EXTERNAL : KMS_CERTIFICATE_ROOT,
			.security_gateway = i & 2,
			.revoked = i == 3,
			.kms_uri = "sip:<kms>&'\"@example.org",
			.issuer = i == 0 ? NULL : "A < B",
			.valid_from = i == 1 ? 0 : 1709251199, // 29 February
			.valid_to = i == 1 ? 0 : 253402300799,
			.period = 2592000 + i,
			.offset = i,
			.domains = domains,
			.n_domains = i == 2 ? 0 : 2};
		memset(c.z, 0x40 + (int)i, sizeof(c.z));
		memset(c.kpak, 0x50 + (int)i, sizeof(c.kpak));
		struct mikey_fault fault;
		struct kms_xml out;
		char *text = kms_certificate_write(&c, &fault);
		assert_non_null(text);
		assert_non_null(strstr(text, i & 2 ? "Version=\"1.2.0\"" : "Version=\"1.1.0\""));
		assert_int_equal(strstr(text, "IsSecurityGateway=\"true\"") != NULL, i >> 1);
		snprintf(document, sizeof(document), "%s", text);
		free(text);
		expect_read(&out);
		assert_int_equal(out.n_certificates, 1);
		expect_same(&out.certificates[0], &c);
		if (c.issuer)
			assert_string_equal(out.certificates[0].issuer, c.issuer);
		kms_xml_free(&out);
		c.valid_to = 253402300800;
		assert_null(kms_certificate_write(&c, &fault));
		assert_int_equal(fault.reason, MIKEY_XML_VALUE);
	}
}

// --- what is refused

static void expect_refused(const char *text, size_t len, enum mikey_reason reason, const char *says)
{
	struct mikey_fault fault = {};
	struct kms_xml out;
	bool ok = kms_xml_read(text, len, keys, 2, &out, &fault);
	if (ok || fault.reason != reason || !strstr(fault.text, says))
		fail_msg("%.60s: %s, %s; expected: %s, %s", text,
			ok ? "taken" : mikey_reason_slug(fault.reason), ok ? "" : fault.text,
			mikey_reason_slug(reason), says);
	assert_null(out.certificates);
	assert_null(out.secrets);
}

#define EMPTY "<KmsInit " NS "/>"

static void other_documents_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"", "0 octets"},
		{" ", "well-formed"},
		{"<KmsInit " NS ">", "well-formed"},
		{EMPTY EMPTY, "well-formed"},
		{EMPTY "x", "well-formed"},
		{"<a:KmsInit/>x", "well-formed"},
		{"<!DOCTYPE KmsInit>" EMPTY, "DTD"},
		{"<!DOCTYPE KmsInit [<!ENTITY a \"b\">]><KmsInit " NS ">&a;</KmsInit>", "DTD"},
		{"<!DOCTYPE KmsInit SYSTEM \"file:///nowhere\">" EMPTY, "DTD"},
		{"<KmsInit " NS ">&a;</KmsInit>", "well-formed"},
		{"<KmsInit " NS ">\xff</KmsInit>", "UTF-8"},
		{"<KmsInit " NS ">\xed\xa0\x80</KmsInit>", "UTF-8"},
		{"<KmsInit " NS ">\x01</KmsInit>", "well-formed"},
		{"<?xml version='1.0' encoding='ISO-8859-1'?>" EMPTY, "UTF-8"},
		{"<?xml version='1.0' encoding='UTF-7'?>" EMPTY, "UTF-8"},
		{"<?xml version='1.0' encoding=\"UTF-16\"?>" EMPTY, "UTF-8"},
		{"<?xml version='1.0' encoding=\"UTF-8x\"?>" EMPTY, "UTF-8"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect_refused(rows[i].text, strlen(rows[i].text), MIKEY_MALFORMED, rows[i].says);
	expect_refused(EMPTY "\0", sizeof(EMPTY), MIKEY_MALFORMED, "UTF-8");
	expect_refused("<KmsInit/>", 10, MIKEY_XML_ELEMENT, "namespace");
	expect_refused("<KmsRequest " NS "/>", sizeof("<KmsRequest " NS "/>") - 1,
		MIKEY_XML_ELEMENT, "KmsRequest: is not what a KMS sends");
	struct kms_xml out;
	snprintf(document, sizeof(document), "%s",
		"\xef\xbb\xbf<?xml version='1.0' encoding = 'utf-8' ?><!-- a -->" EMPTY "<?pi?>");
	expect_read(&out);
	kms_xml_free(&out);
}

// At each limit, and one beyond it.
static void limits(void **state)
{
	(void)state;
	struct kms_xml out = {};
	for (unsigned depth = XML_DEPTH_MAX; depth <= XML_DEPTH_MAX + 1; depth++) {
		snprintf(document, sizeof(document), "<KmsInit " NS ">");
		for (unsigned i = 1; i < depth; i++)
			put("<v:a xmlns:v=\"urn:v\">");
		for (unsigned i = 1; i < depth; i++)
			put("</v:a>");
		put("</KmsInit>");
		if (depth > XML_DEPTH_MAX)
			expect_refused(
				document, strlen(document), MIKEY_MALFORMED, "deeper than 32");
		else
			expect_read(&out);
	}
	kms_xml_free(&out);
	for (unsigned n = XML_ATTRIBUTES_MAX; n <= XML_ATTRIBUTES_MAX + 1; n++) {
		snprintf(document, sizeof(document), "<KmsInit " NS);
		for (unsigned i = 1; i < n; i++)
			put(" a%u=\"\"", i);
		put("><KmsKeySet/></KmsInit>");
		expect_refused(document, strlen(document),
			n > XML_ATTRIBUTES_MAX ? MIKEY_MALFORMED : MIKEY_XML_ELEMENT,
			n > XML_ATTRIBUTES_MAX ? "32 attributes" : "KmsUri");
	}
	snprintf(document, sizeof(document), "%s<!--", EMPTY);
	memset(document + strlen(document), 'x', XML_LEN_MAX);
	memcpy(document + XML_LEN_MAX - 3, "-->", 3);
	document[XML_LEN_MAX] = '\0';
	expect_read(&out);
	kms_xml_free(&out);
	put(" ");
	expect_refused(document, strlen(document), MIKEY_MALFORMED, "65537 octets");
}

static void expect_changed(
	const char *from, const char *to, enum mikey_reason reason, const char *says)
{
	static char changed[sizeof(document)];
	const char *at = strstr(document, from);
	if (!at)
		fail_msg("no %s in the document", from);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - document), document, to,
		at + strlen(from));
	expect_refused(changed, strlen(changed), reason, says);
}

static void wrong_certificates_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
		enum mikey_reason reason;
		const char *says;
	} rows[] = {
		{"<KmsUri>", "<KmsUri/><KmsUri>", MIKEY_ID_VALUE, "KmsUri[1]: is no URI"},
		{"<KmsUri>", "<KmsUri>a</KmsUri><KmsUri>", MIKEY_XML_ELEMENT, "has KmsUri twice"},
		{"<KmsUri>", "<KmsUri>a b ", MIKEY_ID_VALUE, "is no URI"},
		{"<KmsUri>", "<KmsUri><a/>", MIKEY_XML_VALUE, "has elements in it"},
		{"UserKeyPeriod>", "UserKeyPeriods>", MIKEY_MALFORMED, "well-formed"},
		{"<UserKeyPeriod>", "<UserKeyPeriod>9", MIKEY_XML_VALUE,
			"accepted: 0 to 4294967295"},
		{"<UserKeyPeriod>", "<UserKeyPeriod>-", MIKEY_XML_VALUE,
			"KmsCertificate/UserKeyPeriod"},
		{"<Revoked>false</Revoked>", "<Revoked>no</Revoked>", MIKEY_XML_VALUE, "is no;"},
		{"<Revoked>false</Revoked>", "<revoked>true</revoked>", MIKEY_XML_ELEMENT,
			"revoked: is no element that belongs here"},
		{"<UserIdFormat>2</UserIdFormat>", "", MIKEY_XML_ELEMENT, "has no UserIdFormat"},
		{"<UserIdFormat>2", "<UserIdFormat>1", MIKEY_XML_VALUE, "accepted: 2"},
		{"<UserIdFormat>", "<UserIDFormat>2</UserIDFormat><UserIdFormat>",
			MIKEY_XML_ELEMENT, "twice"},
		{"<ParameterSet>1", "<ParameterSet>2", MIKEY_XML_VALUE, "accepted: 1"},
		{"<PubEncKey>04", "<PubEncKey>", MIKEY_XML_VALUE, "257 octets as 514 hex digits"},
		{"<PubEncKey>04", "<PubEncKey>0g", MIKEY_XML_VALUE, "PubEncKey"},
		{"2026-01-01T", "2026-02-29T", MIKEY_XML_VALUE, "ValidFrom"},
		{"Role=\"Root\"", "Role=\"root\"", MIKEY_XML_VALUE, "accepted: Root"},
		{"Role=\"Root\"", "Role=\"Root\" Version=\"2.0.0\"", MIKEY_XML_VALUE, "Version"},
		{"Role=\"Root\"", "Role=\"Root\" IsSecurityGateway=\"yes\"", MIKEY_XML_VALUE,
			"IsSecurityGateway"},
		{"<KmsDomain>", "<KmsDomain>\xe2\x82", MIKEY_MALFORMED, "UTF-8"},
		{"<KmsDomain>", "<KmsDomain/><KmsDomain>", MIKEY_ID_VALUE, "KmsDomain[1]"},
	};
	document[0] = '\0';
	put_certificate("home", NS " Role=\"Root\"");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (strcmp(rows[i].from, "<UserKeyPeriod>") == 0 && strchr(rows[i].to, '9'))
			expect_changed(
				rows[i].from, "<UserKeyPeriod>999", rows[i].reason, rows[i].says);
		else
			expect_changed(rows[i].from, rows[i].to, rows[i].reason, rows[i].says);
	}
}

static void wrong_key_sets_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
		enum mikey_reason reason;
		const char *says;
	} rows[] = {
		{"<UserID>", "<UserID>00", MIKEY_XML_VALUE,
			"KmsKeySet[2]/UserID: has 66 characters"},
		{"<UserUri>", "<UserUri> ", MIKEY_NONE, ""},
		{"<KeyPeriodNo>", "<KeyPeriodNo>1.", MIKEY_XML_VALUE, "KeyPeriodNo"},
		{"trk.1.ingrid", "trk.9.ingrid", MIKEY_TRANSPORT_KEY, "KeyName: is trk.9.ingrid"},
		{"trk.1.ingrid", "ink.1.ingrid", MIKEY_TRANSPORT_KEY, "is not wrapped under ink.1"},
		{"#kw-aes256", "#kw-aes128", MIKEY_XML_VALUE, "accepted: http"},
		{"<CipherValue>", "<CipherValue>AAAA", MIKEY_XML_VALUE, "CipherValue: has"},
		{"<CipherData>", "<Cipher/><CipherData>", MIKEY_NONE, ""},
		{"CipherData>", "CipherDat>", MIKEY_MALFORMED, ""},
		{"<CipherData>", "<CipherData/><CipherData>", MIKEY_XML_ELEMENT,
			"CipherData twice"},
		{"<UserDecryptKey>", "<UserDecryptKey/><UserDecryptKey>", MIKEY_XML_VALUE,
			"UserDecryptKey[1]: has 0 characters"},
		{"</KmsKeyProv>", "<NewTransportKey>00</NewTransportKey></KmsKeyProv>",
			MIKEY_XML_ELEMENT, "NewTransportKey: has no EncryptedKey"},
		{"<KmsKeyProv>", "<KmsLookup/><KmsKeyProv>", MIKEY_XML_ELEMENT, "KmsLookup"},
		{"<KmsMessage>", "<KmsError><ErrorCode>7</ErrorCode></KmsError><KmsMessage>",
			MIKEY_XML_VALUE, "the KMS says: 7"},
		{"<KmsMessage>", "<KmsMessage><EncryptedData xmlns=\"" XML_NS_ENC "\"/>",
			MIKEY_XML_ELEMENT, "encrypted as a whole"},
	};
	response_begin("KmsKeyProv");
	put("<KmsKeySet/>");
	response_end("KmsKeyProv");
	expect_refused(document, strlen(document), MIKEY_XML_ELEMENT, "KmsKeySet: has no KmsUri");
	// The path counts elements of one name; the first key set here is of another namespace.
	response_begin("KmsKeyProv");
	put("<KmsKeySet xmlns=\"urn:vendor\"/>");
	put_key_set("ingrid", WRAPPED);
	response_end("KmsKeyProv");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].reason != MIKEY_NONE)
			expect_changed(rows[i].from, rows[i].to, rows[i].reason, rows[i].says);
	struct kms_xml out;
	expect_read(&out);
	kms_xml_free(&out);
}

// --- times

static void times_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t seconds; // 0: refused
	} rows[] = {
		{"1970-01-01T00:00:00Z", 1},
		{"1900-01-01T00:00:00Z", 1},
		{"1970-01-01T00:00:02", 2},
		{"2000-02-29T12:34:56", 951827696},
		{"2000-02-29T12:34:56.789Z", 951827696},
		{"2000-02-29T12:34:56-14:00", 951878096},
		{"2000-02-29T13:34:56+01:00", 951827696},
		{"2100-12-31T24:00:00", 4133980800},
		{"9999-12-31T23:59:59Z", 253402300799},
		{"2100-02-29T00:00:00", 0},
		{"2000-13-01T00:00:00", 0},
		{"2000-00-01T00:00:00", 0},
		{"2000-01-00T00:00:00", 0},
		{"2000-01-32T00:00:00", 0},
		{"2000-01-01T24:00:01", 0},
		{"2000-01-01T00:60:00", 0},
		{"2000-01-01T00:00:60", 0},
		{"2000-01-01T00:00:00+14:01", 0},
		{"2000-01-01T00:00:00+15:00", 0},
		{"2000-01-01T00:00:00z", 0},
		{"2000-01-01T00:00:00.", 0},
		{"2000-01-01T00:00:00.Z", 0},
		{"2000-01-01 00:00:00", 0},
		{"2000-01-01", 0},
		{"0000-01-01T00:00:00", 0},
		{"-2000-01-01T00:00:00", 0},
		{"12000-01-01T00:00:00", 0},
		{"2000-01-01T00:00:00Zx", 0},
		{"", 0},
	};
	document[0] = '\0';
	put_certificate("home", NS);
	static char whole[sizeof(document)];
	memcpy(whole, document, sizeof(whole));
	const char *from = "2026-01-01T00:00:00", *at = strstr(whole, from);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(document, sizeof(document), "%.*s%s%s", (int)(at - whole), whole,
			rows[i].text, at + strlen(from));
		struct kms_xml out;
		struct mikey_fault fault;
		bool ok = kms_xml_read(document, strlen(document), NULL, 0, &out, &fault);
		if (ok != (rows[i].seconds != 0) ||
			(ok && out.certificates[0].valid_from != rows[i].seconds))
			fail_msg("%s: %llu", rows[i].text,
				ok ? (unsigned long long)out.certificates[0].valid_from : 0);
		if (ok)
			kms_xml_free(&out);
	}
}

// --- signatures of responses, made by xmlsec1

static void signed_responses(void **state)
{
	(void)state;
	struct vectors *file = vectors_read("xml_signed.txt");
	const struct vector *v = vectors_find(file, "kms_response_hmac");
	uint8_t key[64];
	size_t len = vector_octets(v, "key", key, sizeof(key));
	struct mikey_shared_key shared = {.id = "ink.7", .value = key, .len = len};
	struct mikey_fault fault;
	struct kms_xml out;
	snprintf(document, sizeof(document), "%s", vector_text(v, "document"));
	assert_true(kms_xml_read(document, strlen(document), &shared, 1, &out, &fault));
	assert_int_equal(out.signature, MIKEY_VERIFIED);
	kms_xml_free(&out);
	shared.id = "ink.8";
	assert_true(kms_xml_read(document, strlen(document), &shared, 1, &out, &fault));
	assert_int_equal(out.signature, MIKEY_UNVERIFIED);
	kms_xml_free(&out);
	shared.id = "ink.7";
	key[3] ^= 1;
	assert_false(kms_xml_read(document, strlen(document), &shared, 1, &out, &fault));
	assert_int_equal(fault.reason, MIKEY_SIGNATURE);
	key[3] ^= 1;
	// What the signature covers is not to be changed, nor another one to be taken for it.
	char *at = strstr(document, "<UserUri>") + strlen("<UserUri>");
	*at ^= 1;
	assert_false(kms_xml_read(document, strlen(document), &shared, 1, &out, &fault));
	assert_int_equal(fault.reason, MIKEY_SIGNATURE);
	*at ^= 1;
	assert_true(kms_xml_read(document, strlen(document), &shared, 1, &out, &fault));
	kms_xml_free(&out);
	vectors_free(file);
}

// --- no key is left behind

enum { PATTERN_LEN = 24 };

__attribute__((no_sanitize("address", "thread"))) static bool region_has(
	const uint8_t *from, const uint8_t *to, const uint8_t *inverted)
{
	for (const volatile uint8_t *at = from; at + PATTERN_LEN <= to; at++) {
		size_t n = 0;
		while (n < PATTERN_LEN && (at[n] ^ inverted[n]) == 0xff)
			n++;
		if (n == PATTERN_LEN)
			return true;
	}
	return false;
}

// Whether any private memory that can be written has a pattern: the heap, the stack, areas. The
// pattern is given inverted, or it would be found here.
static bool memory_has(const uint8_t inverted[PATTERN_LEN])
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	bool has = false;
	if (!maps)
		return true;
	while (!has && fgets(line, sizeof(line), maps)) {
		uintptr_t from, to;
		char mode[5];
		assert_int_equal(sscanf(line, "%lx-%lx %4s", &from, &to, mode), 3);
		if (strcmp(mode, "rw-p") == 0 && to - from <= 64 << 20)
			has = region_has((const uint8_t *)from, (const uint8_t *)to, inverted);
	}
	fclose(maps);
	return has;
}

static void keys_in_clear_are_wiped(void **state)
{
	(void)state;
	for (int form = HEX; form <= BASE64; form++) {
		struct kms_xml out;
		static uint8_t rsk[SAKKE_POINT_LEN];
		static char text[2 * SAKKE_POINT_LEN + 1];
		uint8_t octets[PATTERN_LEN], characters[PATTERN_LEN];
		for (size_t i = 0; i < sizeof(rsk); i++)
			rsk[i] = (uint8_t)(17 * i + i * i + 3 + (unsigned)form);
		if (form == HEX)
			hex_encode(rsk, sizeof(rsk), text);
		else
			base64_encode(rsk, sizeof(rsk), text);
		for (size_t i = 0; i < PATTERN_LEN; i++) {
			octets[i] = (uint8_t)~rsk[100 + i];
			characters[i] = (uint8_t)~text[200 + i];
		}
		response_begin("KmsKeyProv");
		put_key_set("ingrid", (enum form)form);
		response_end("KmsKeyProv");
		// Another key in the place of that one, which the vectors have, too.
		char *at = strstr(document, "<UserDecryptKey>") + strlen("<UserDecryptKey>");
		memset(at, ' ', (size_t)(strstr(at, "</UserDecryptKey>") - at));
		memcpy(at, text, strlen(text));
		secmem_wipe(text, sizeof(text));
		assert_true(memory_has(characters));
		expect_read(&out);
		assert_memory_equal(out.key_sets[0].secrets->rsk, rsk, sizeof(rsk));
		secmem_wipe(document, sizeof(document));
		secmem_wipe(rsk, sizeof(rsk));
		assert_false(memory_has(characters));
		assert_true(memory_has(octets));
		kms_xml_free(&out);
		assert_false(memory_has(octets));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificate_is_read),
		cmocka_unit_test(key_sets_are_read_in_every_form),
		cmocka_unit_test(every_message_is_read),
		cmocka_unit_test(written_certificate_is_read),
		cmocka_unit_test(other_documents_are_refused),
		cmocka_unit_test(limits),
		cmocka_unit_test(wrong_certificates_are_refused),
		cmocka_unit_test(wrong_key_sets_are_refused),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(signed_responses),
		cmocka_unit_test(keys_in_clear_are_wiped),
	};
	return cmocka_run_group_tests(tests, world_open, world_close);
}
